"""untrain: which training images is a picture made of, and what happens when they are gone?"""

__version__ = "0.1.0"
