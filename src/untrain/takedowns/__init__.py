"""Takedown requests: pictures as files → where they are, what they do, a model without them."""
