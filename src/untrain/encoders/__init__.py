"""Images → features: encoders by name, and the store that keeps what was embedded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from untrain.encoders.base import Encoder
from untrain.errors import InputError
from untrain.registry import Registry

__all__ = ["ENCODERS", "Encoder", "load_encoder"]

ENCODERS: Registry[Callable[..., Encoder]] = Registry(
    "encoder",
    {
        "layout": "untrain.encoders.layout:LayoutEncoder",
        "transformers": "untrain.encoders.transformers_vision:TransformersEncoder",
    },
)


def load_encoder(name: str, **options: Any) -> Encoder:
    """Return the encoder ``name``, made with ``options``.

    Raises
    ------
    InputError
        If there is no such encoder, it has no such option, or its weights are not here.
    """
    make = ENCODERS[name]
    signature = inspect.signature(make)
    try:
        signature.bind(**options)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "none"
        raise InputError(f"encoder '{name}': {error}; its options: {known}") from None
    return make(**options)
