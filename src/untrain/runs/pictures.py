"""Generated pictures as PNG files of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError
from untrain.core.files import opened_whole

if TYPE_CHECKING:
    from PIL import Image


def save_pictures(folder: Path, pictures: Mapping[str, np.ndarray]) -> None:
    """Write pictures (uint8 height × width × 3) as ``folder/<name>.png``: all of them or none."""
    from PIL import Image

    with atomic_folder(folder) as temporary:
        for name, pixels in pictures.items():
            path = temporary / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def open_picture(path: Path) -> Image.Image:
    """Read a PNG that untrain wrote, in RGB; `untrain.core.errors.Damaged` if it is none."""
    from PIL import Image

    with opened_whole(path), Image.open(path, formats=["PNG"]) as image:
        return image.convert("RGB")


def read_picture(path: Path) -> np.ndarray:
    """Read a PNG that untrain wrote as uint8 height × width × 3."""
    return np.asarray(open_picture(path))


class PictureFiles(Sequence[np.ndarray]):
    """Pictures in files, each read on access: a sequence of uint8 arrays."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, position: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, position: slice) -> PictureFiles: ...
    def __getitem__(self, position: int | slice) -> np.ndarray | PictureFiles:
        """Read one picture; a slice reads none yet."""
        if isinstance(position, slice):
            return PictureFiles(self.paths[position])
        return read_picture(self.paths[position])


def named_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Name pictures by their files, without the ending or folder where that is enough.

    Raises
    ------
    InputError
        One is given twice.
    """
    for names in ([p.stem for p in paths], [p.name for p in paths], [str(p) for p in paths]):
        if len(set(names)) == len(names):
            return dict(zip(names, paths, strict=True))
    raise InputError("the same picture was given twice; give each only once")
