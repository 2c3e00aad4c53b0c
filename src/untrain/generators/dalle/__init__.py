"""The reference generator: a frozen autoencoder under a text–image transformer."""
