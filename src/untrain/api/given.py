"""What people hand over in Python: pictures and catalogues, as paths, arrays or objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from untrain.catalogs.base import Catalog

    Picture = str | Path | np.ndarray | Image.Image
    Pictures = Picture | Sequence[Picture] | Mapping[str, Picture]


def named_pictures(pictures: Pictures) -> dict[str, np.ndarray]:
    """Return pictures by name, each uint8 height × width × 3.

    Parameters
    ----------
    pictures
        One or several: paths (also ``file://`` addresses), Pillow images, arrays (uint8, or floats
        from 0 to 1, height × width × 3 or grey), or a mapping of names to such. Without names,
        files are named by theirs and others by their place, from 0.

    Raises
    ------
    InputError
        Something is no picture.
    """
    from PIL import Image

    from untrain.catalogs.pictures import local_path, pixels_of
    from untrain.runs.pictures import named_files

    if isinstance(pictures, Mapping):
        return {str(name): pixels_of(each) for name, each in pictures.items()}
    single = isinstance(pictures, (str, Path, Image.Image)) or hasattr(pictures, "shape")
    several: list[Any] = [pictures] if single else list(pictures)  # type: ignore[arg-type]
    if all(isinstance(each, (str, Path)) for each in several) and several:
        return {n: pixels_of(p) for n, p in named_files([local_path(p) for p in several]).items()}
    return {str(place): pixels_of(each) for place, each in enumerate(several)}


def catalog_of(given: Catalog | str | Path | Any) -> Catalog:
    """Return a catalogue: itself, that at a path, or the training images of a run.

    Parameters
    ----------
    given
        A `Catalog`; a folder, file or zip of images and captions; ``"rendered"``; a run folder, an
        experiment or a result.
    """
    from untrain.catalogs import guess_format, load_catalog
    from untrain.catalogs.base import Catalog
    from untrain.runs.find import RECORD

    if isinstance(given, Catalog):
        return given
    folder = Path(getattr(given, "folder", given))
    if (folder / RECORD).is_file():
        from untrain.runs.inputs import open_inputs, run_config

        return open_inputs(run_config(folder)).train
    if given == "rendered" and not folder.exists():
        return load_catalog("rendered")
    return load_catalog(guess_format(folder), path=folder)
