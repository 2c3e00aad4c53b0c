"""Generated pictures as PNG files of a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from untrain.core.errors import InputError
from untrain.core.files import atomic_folder

FEW = 32  # pictures that may lie in memory together


def save_pictures(folder: Path, pictures: Mapping[str, np.ndarray]) -> None:
    """Write pictures (uint8 height × width × 3) as ``folder/<name>.png``: all of them or none."""
    from PIL import Image

    with atomic_folder(folder) as temporary:
        for name, pixels in pictures.items():
            path = temporary / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def read_picture(path: Path) -> np.ndarray:
    """Read a PNG as uint8 height × width × 3."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


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


class NamedPictures(Mapping[str, np.ndarray]):
    """Pictures in files of any format by name: few are read at once, many each on access.

    Raises
    ------
    InputError
        As `untrain.catalogs.base.read_image`; of many, at once only where one is not there.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        from untrain.catalogs.base import read_image

        self.files = files
        self._read: dict[str, np.ndarray] = {}
        if len(files) <= FEW:
            self._read = {name: read_image(path) for name, path in files.items()}
        for path in files.values():
            if not path.expanduser().is_file():
                read_image(path)  # which says what is wrong

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __getitem__(self, name: str) -> np.ndarray:
        from untrain.catalogs.base import read_image

        return self._read[name] if name in self._read else read_image(self.files[name])


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
