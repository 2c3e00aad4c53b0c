"""Which images leave which models: forget sets, and the designs that assign them."""
