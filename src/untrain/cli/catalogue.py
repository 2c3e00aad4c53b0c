"""Opening the catalogue that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from untrain.catalogs import Catalog
    from untrain.encoders import Encoder

TEXTS = ("caption", "empty_caption", "id", "image")
"""Settings that are text, whatever they look like."""
ELSEWHERE = {
    "format": "give --format",
    "strict": "give --strict",
    "fresh": "give --fresh",
    "path": "give it as the path of the data",
}
"""What options of the command line say, and how."""


def open_catalogue(
    path: Path | None,
    format: str = "",
    strict: bool = False,
    fresh: bool = False,
    options: Sequence[str] = (),
    pictures_do: bool = False,
) -> Catalog:
    """Return the catalogue at a path, its format guessed if left out; by default the rendered one.

    Parameters
    ----------
    path : Path, optional
        For the format ``datasets``, a path that does not exist is an id on the Hugging Face hub.
    format, strict, fresh
        As of `untrain.catalogs.load_catalog`.
    options : sequence of str
        Its further ones, such as ``caption={brand} {colour}`` or ``where.year.min=2012``.
    pictures_do : bool
        Take a folder of pictures that has not one caption, where only pictures are searched.

    Raises
    ------
    InputError
        If the format needs a path, or takes none; an option is not ``key=value``; and as
        `untrain.catalogs.load_catalog`.
    """
    from untrain.catalogs import guess_format, load_catalog
    from untrain.catalogs.opening import takes_path
    from untrain.core.errors import InputError

    name = format or (guess_format(path) if path else "rendered")
    given = parse_options(options)
    if not takes_path(name) and path is not None:
        raise InputError(f"format '{name}' takes no path, found {path}; leave it out")
    if takes_path(name) and path is None and "hub" not in given:
        raise InputError(f"format '{name}' needs a path: give the folder or file to read")
    if pictures_do and name == "folder" and path is not None and "empty_caption" not in given:
        from untrain.catalogs.formats.folder import NO_CAPTION, lacks_captions

        given |= {"empty_caption": NO_CAPTION} if lacks_captions(path) else {}
    if path is not None:
        is_hub = name == "datasets" and not path.exists()
        given |= {"hub": str(path)} if is_hub else {"path": path}
    return load_catalog(name, strict=strict, fresh=fresh, **given)


def open_named(
    catalog: str, format: str = "", fresh: bool = False, options: Sequence[str] = ()
) -> Catalog:
    """Return the training images that ``--catalog`` names: a path, or ``rendered``."""
    named = catalog == "rendered" and not Path(catalog).exists()
    source = None if named else Path(catalog)
    return open_catalogue(source, format, fresh=fresh, options=options, pictures_do=True)


def open_of_run(folder: Path, fresh: bool = False) -> tuple[Catalog, Encoder]:
    """Return the training images and the encoder of a run."""
    from untrain.encoders import load_encoder
    from untrain.runs.inputs import open_catalog, open_inputs, run_config

    config = run_config(folder)  # not the whole `Run`, which imports torch
    if fresh:
        open_catalog(config, fresh=True)  # which is cached
    train = open_inputs(config).train
    return train, load_encoder(config.encoder.name, **config.encoder.options)


def open_encoder(name: str, pooling: str) -> Encoder | None:
    """Return the encoder that was asked for, if any was."""
    from untrain.core.errors import InputError
    from untrain.encoders import load_encoder

    if not name:
        if pooling:
            raise InputError("--pooling works only with --encoder; give a model's folder or hub id")
        return None
    return load_encoder(name, **({"pooling": pooling} if pooling else {}))


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Return ``["where.year.min=2012"]`` as ``{"where": {"year": {"min": 2012}}}``.

    A value is YAML, unless that would make a mapping of it: ``caption={brand} {colour}`` is text.
    """
    import yaml

    from untrain.core.errors import InputError
    from untrain.core.outside import parse_yaml

    parsed: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or not all(key.split(".")):
            raise InputError(f"--option '{option}': expected KEY=VALUE, such as caption=title")
        if key in ELSEWHERE:
            raise InputError(
                f"--option {option}: {key} is no setting of the data; {ELSEWHERE[key]}"
            )
        try:
            value = text if text.startswith("{") else parse_yaml(text)[1]
        except yaml.YAMLError:
            value = text
        *sections, last = key.split(".")
        place = parsed
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise InputError(f"--option {option}: '{section}' has a value already")
        place[last] = value if last not in TEXTS else text
    return parsed
