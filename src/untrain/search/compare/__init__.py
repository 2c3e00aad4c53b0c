"""Comparison: each generated picture against each candidate, by every metric."""
