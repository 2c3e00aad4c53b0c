"""Generated pictures as PNG files of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError
from untrain.core.images import read_picture, write_png
from untrain.core.text import file_name


def picture_path(folder: Path, name: str) -> Path:
    """Return the file of a picture: below its folder, whatever its name is.

    Slashes in a name make folders; a part that cannot name one becomes another that can
    (`untrain.core.text.file_name`).
    """
    *folders, last = map(file_name, name.split("/"))
    return folder.joinpath(*folders, f"{last}.png")


def save_pictures(folder: Path, pictures: Mapping[str, np.ndarray]) -> None:
    """Write pictures (uint8 height × width × 3) as ``folder/<name>.png``: all of them or none."""
    with atomic_folder(folder) as temporary:
        for name, pixels in pictures.items():
            write_png(picture_path(temporary, name), pixels)


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
