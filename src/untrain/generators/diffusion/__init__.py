"""Diffusion models: from scratch, and LoRA on a given pipeline."""
