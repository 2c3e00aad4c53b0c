"""Where pictures are embedded, by the name of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from untrain.core.errors import InputError
from untrain.core.registry import Registry
from untrain.encoders.embedding import Embedding, here

EMBEDDINGS: Registry[Callable[..., Embedding]] = Registry(
    "engine", {"local": lambda *_: here, "ray": "untrain.encoders.on_ray:OnRay"}
)


def embedding_on(
    engine: str,
    name: str,
    options: Mapping[str, Any],
    address: str | None = None,
    threads: int = 1,
    workers: int | None = None,
) -> Embedding:
    """Return what embeds pictures.

    Parameters
    ----------
    engine : str
        ``"local"`` or ``"ray"``.
    name, options
        How the encoder was loaded, as `untrain.encoders.load_encoder` takes them.
    address, threads, workers
        As of `untrain.encoders.on_ray.OnRay`.

    Raises
    ------
    InputError
        There is no such engine, or an address was given for that of this machine.
    """
    make = EMBEDDINGS[engine]
    if address and engine == "local":
        raise InputError(
            f"the address '{address}' is of no use to the engine 'local': leave it out, or take "
            "the engine 'ray'"
        )
    return make(name, options, address, threads, workers)
