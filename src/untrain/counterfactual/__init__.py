"""Which images are removed from which models: forget sets, and the designs that assign them."""
