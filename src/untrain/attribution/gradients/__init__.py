"""Gradients for attribution: what is differentiated, of each pair, projected, kept and solved."""
