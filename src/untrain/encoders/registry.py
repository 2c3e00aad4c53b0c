"""Encoders by name, and making one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from untrain.core.errors import InputError
from untrain.core.registry import Registry, is_own
from untrain.encoders.base import Encoder


class EncoderRegistry(Registry[Callable[..., Encoder]]):
    """Encoders by name; ``module:function`` is the user's own, a folder or hub id a model."""

    def check(self, name: str) -> None:
        """Raise `InputError` if ``name`` can be no encoder, without importing anything."""
        if not (is_own(name) or _is_model(name)):
            super().check(name)

    def __getitem__(self, name: str) -> Callable[..., Encoder]:
        """Return what makes the encoder ``name`` when called with its options."""
        if name in self:
            return super().__getitem__(name)
        if is_own(name):
            from untrain.encoders.function import own_encoder

            return own_encoder(name)
        if _is_model(name):
            return partial(super().__getitem__("transformers"), name)
        return super().__getitem__(name)  # which says what is wrong with it


def _is_model(name: str) -> bool:
    return "/" in name or Path(name).is_dir()


ENCODERS: Registry[Callable[..., Encoder]] = EncoderRegistry(
    "encoder",
    {
        "layout": "untrain.encoders.layout:LayoutEncoder",
        "transformers": "untrain.encoders.transformers_vision:TransformersEncoder",
    },
)


def load_encoder(name: str, **options: Any) -> Encoder:
    """Return the encoder ``name``, made with ``options``.

    Parameters
    ----------
    name : str
        ``"layout"``, ``"transformers"`` (with ``path``), a folder or hub id with a slash
        (the same, shorter), or ``"package.module:function"``: the user's own function, looked for
        in the working folder too, of a list of uint8 H×W×3 arrays → (n, d) numbers.

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
