"""Engines by name: where models are trained."""

from __future__ import annotations

from collections.abc import Callable

from untrain.core.registry import Registry
from untrain.training.base import Engine

ENGINES: Registry[Callable[[str | None], Engine]] = Registry(
    "engine",
    {
        "local": "untrain.training.local:LocalEngine",
        "ray": "untrain.training.ray:RayEngine",
    },
)


def open_engine(name: str = "local", address: str | None = None) -> Engine:
    """Return an engine, not yet checked.

    Parameters
    ----------
    name : str
        ``"local"``, ``"ray"`` or another name in `ENGINES`.
    address : str, optional
        Of a Ray cluster (`untrain.training.ray.RayEngine`).

    Raises
    ------
    InputError
        There is no engine of this name.
    """
    return ENGINES[name](address)
