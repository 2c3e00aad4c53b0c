"""Text-to-image models: what untrain needs of one, those that it has, and how others are named."""

from untrain.generators.registry import GENERATORS, make_generator, presets_of, register

__all__ = ["GENERATORS", "make_generator", "presets_of", "register"]
