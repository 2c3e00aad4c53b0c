"""Images → features: encoders by name, and the store that keeps what was embedded."""

from untrain.encoders.base import Encoder, describe, encode_text, levels, pooled
from untrain.encoders.registry import ENCODERS, load_encoder

__all__ = ["ENCODERS", "Encoder", "describe", "encode_text", "levels", "load_encoder", "pooled"]
