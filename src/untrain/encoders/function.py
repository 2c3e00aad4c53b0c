"""An encoder of the user's own: any function from pictures to numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.registry import open_own
from untrain.encoders.base import Encoder

Function = Callable[[list[np.ndarray]], ArrayLike]

DIRECTIONS = 4  # onto which a probe's features are projected
BATCH = 32  # images that the function is called with at a time
DIGITS = 4  # significant ones that count: what is below may differ between threads


class CallableEncoder:
    """A function as an encoder; it is known by what it does, not by its code.

    Its fingerprint is that of its name and of what it returns on three fixed pictures, so that a
    function with other weights behind it has other features in the store.

    Parameters
    ----------
    function : callable
        A list of images, each uint8 H×W×3 RGB of any size → numbers (n, d), finite. Called with
        at most `BATCH` images at a time.
    name : str, optional
        What it is called; by default its module and name.
    non_negative : bool, optional
        Whether its features are never below zero; by default judged by the three pictures.

    Raises
    ------
    InputError
        If the function fails or returns anything else.

    Examples
    --------
    >>> colour = CallableEncoder(lambda images: [i.mean((0, 1)) for i in images], "mean colour")
    >>> colour.encode([np.full((4, 4, 3), 7, np.uint8)])
    array([[7., 7., 7.]], dtype=float32)
    """

    def __init__(
        self, function: Function, name: str | None = None, non_negative: bool | None = None
    ) -> None:
        self.function = function
        self.name = name or _name(function)
        self._given = non_negative
        self._probed = self._call(_probes())

    @property
    def description(self) -> str:
        """A line for people."""
        return f"{self.name}, {self._probed.shape[1]} numbers"

    @cached_property
    def fingerprint(self) -> str:
        """Name and behaviour; see the class."""
        size = self._probed.shape[1]
        directions = np.random.default_rng(0).standard_normal((size, DIRECTIONS))
        behaviour = self._probed.astype(np.float64) @ directions
        rounded = [f"{value:.{DIGITS - 1}e}" for value in behaviour.ravel()]
        return fingerprint("callable", self.name, size, rounded)

    @property
    def non_negative(self) -> bool:
        """What was given, or else whether no feature of the three pictures is below zero."""
        return bool(self._probed.min() >= 0) if self._given is None else self._given

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return features, float32 (n, d), of images, each uint8 H×W×3 RGB of any size."""
        size = self._probed.shape[1]
        if not len(images):
            return np.zeros((0, size), np.float32)
        parts = [
            self._call(list(images[start : start + BATCH]))
            for start in range(0, len(images), BATCH)
        ]
        for part in parts:
            if part.shape[1] != size:
                raise InputError(
                    f"encoder '{self.name}' returned {part.shape[1]} numbers per picture, and "
                    f"{size} before; their number must not depend on the picture"
                )
        return np.concatenate(parts)

    def _call(self, images: list[np.ndarray]) -> np.ndarray:
        try:
            features = np.asarray(self.function(images), np.float32)
        except Exception as error:  # whatever the user's function raises
            raise InputError(
                f"encoder '{self.name}' failed on {len(images)} pictures of sizes such as "
                f"{images[0].shape}: {type(error).__name__}: {error}"
            ) from error
        if features.ndim != 2 or len(features) != len(images) or not features.shape[1]:
            raise InputError(
                f"encoder '{self.name}' returned an array of shape {features.shape} for "
                f"{len(images)} pictures; expected ({len(images)}, d)"
            )
        if not np.isfinite(features).all():
            raise InputError(f"encoder '{self.name}' returned NaN or infinity; expected numbers")
        return features


def own_encoder(name: str) -> Callable[..., Encoder]:
    """Import ``"package.module:attribute"``; return what makes an encoder of it, given options.

    The attribute is a function (options are passed to it), a class that has the encoder's contract
    (options make the instance), or such an instance.

    Raises
    ------
    InputError
        If there is no such module or attribute, or it is nothing of the kind.
    """
    target = open_own("encoder", name)
    if isinstance(target, type) and hasattr(target, "encode"):
        return target
    if hasattr(target, "encode") and hasattr(target, "fingerprint"):
        return lambda: target
    if callable(target) and not isinstance(target, type):
        return lambda **options: CallableEncoder(partial(target, **options), name)
    raise InputError(
        f"encoder '{name}' is of type {type(target).__name__}; expected a function of a list of "
        "pictures, or an encoder (`encode`, `fingerprint`, `non_negative`)"
    )


def _name(function: Function) -> str:
    module = getattr(function, "__module__", type(function).__module__)
    return f"{module}:{getattr(function, '__qualname__', type(function).__qualname__)}"


def _probes() -> list[np.ndarray]:
    """Return noise, a ramp of colours and a disc on white, of three sizes."""
    rows, columns = np.mgrid[0:64, 0:48]
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    ramp = np.stack([4 * rows, 5 * columns, 255 - 4 * rows], axis=-1).astype(np.uint8)
    disc = np.full((80, 60, 3), 255, np.uint8)
    disc[8:72, 6:54][np.hypot(rows - 32, columns - 24) < 20] = (200, 30, 30)
    return [noise, ramp, disc]
