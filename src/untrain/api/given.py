"""What people hand over in Python: pictures and catalogues, as paths, arrays or objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from untrain.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from untrain.catalogs.base import Catalog
    from untrain.catalogs.formats.memory import Table

    Picture = str | Path | np.ndarray | Image.Image
    Pictures = Picture | Sequence[Picture] | Mapping[str, Picture]


class OfRun(Protocol):
    """What has a run folder: an `Experiment`, a `Result`, a `Bank`."""

    @property
    def folder(self) -> Path: ...


def run_folder(given: str | Path | OfRun) -> Path:
    """Return the folder, or the name, of a run that is given as such or as an object of it.

    Raises
    ------
    InputError
        It is something else.
    """
    found = getattr(given, "folder", given)
    if not isinstance(found, (str, Path)):
        raise InputError(
            "expected a run: its folder, its name in runs, an experiment or a result; found "
            f"{type(given).__name__}"
        )
    return Path(found)


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
    from untrain.catalogs.pictures import pixels_of

    return {name: pixels_of(each) for name, each in by_name(pictures).items()}


def by_name(pictures: Pictures) -> dict[str, Any]:
    """Return pictures by name as `named_pictures` names them; of a file its path, not read yet."""
    from PIL import Image

    from untrain.catalogs.pictures import local_path
    from untrain.runs.pictures import named_files

    if isinstance(pictures, Mapping):
        return {str(name): each for name, each in pictures.items()}
    single = isinstance(pictures, (str, Path, Image.Image)) or hasattr(pictures, "shape")
    single = single or not isinstance(pictures, Iterable)  # `pixels_of` says what it is
    several: list[Any] = [pictures] if single else list(pictures)  # type: ignore[arg-type]
    if all(isinstance(each, (str, Path)) for each in several) and several:
        return dict(named_files([local_path(path) for path in several]))
    return {str(place): each for place, each in enumerate(several)}


def catalog_of(given: Catalog | Table | OfRun | str | Path) -> Catalog:
    """Return a catalogue: itself, that at a path, of a table, or the training images of a run.

    Parameters
    ----------
    given
        A `Catalog`; a folder, file or zip of images and captions; ``"rendered"``; a table with a
        column of images (pandas, Arrow, `datasets`); a run folder, an experiment or a result.

    Raises
    ------
    InputError
        It is none of these.
    """
    from untrain.catalogs import guess_format, load_catalog
    from untrain.catalogs.base import Catalog
    from untrain.catalogs.choice import Choice
    from untrain.catalogs.formats.memory import from_memory, is_table
    from untrain.catalogs.pictures import local_path
    from untrain.runs.find import RECORD

    if isinstance(given, Catalog):
        return given
    if is_table(given):
        return from_memory(given, Choice())
    found = getattr(given, "folder", given)
    if not isinstance(found, (str, Path)):
        raise InputError(
            "expected training images: a catalogue, its path, a table with a column of images, or "
            f"a run; found {type(given).__name__}"
        )
    folder = local_path(found)
    if (folder / RECORD).is_file():
        from untrain.runs.inputs import open_inputs, run_config

        return open_inputs(run_config(folder)).train
    if given == "rendered" and not folder.exists():
        return load_catalog("rendered")
    return load_catalog(guess_format(folder), path=folder)
