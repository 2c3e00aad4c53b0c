"""Image–caption data sets: read, check, find duplicates, select, hold out.

Examples
--------
>>> catalog = load_catalog("rendered", families=2, size_of_family=3, resolution=16)
>>> len(catalog)
6
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from untrain.catalogs.base import Catalog, Skipped
from untrain.catalogs.export import export_folder
from untrain.catalogs.fashion import from_fashion
from untrain.catalogs.folder import from_folder
from untrain.catalogs.inspect import inspect, inspect_sheet
from untrain.catalogs.listing import remembered
from untrain.catalogs.plant import plant
from untrain.catalogs.rendered import family_prompt, rendered
from untrain.catalogs.split import hold_out, subset
from untrain.errors import InputError, did_you_mean
from untrain.registry import Registry

__all__ = [
    "CATALOGS",
    "Catalog",
    "Skipped",
    "export_folder",
    "family_prompt",
    "from_fashion",
    "from_folder",
    "guess_format",
    "hold_out",
    "inspect",
    "inspect_sheet",
    "load_catalog",
    "plant",
    "rendered",
    "subset",
]

CATALOGS: Registry[Callable[..., Catalog]] = Registry(
    "catalogue format",
    {
        "rendered": "untrain.catalogs.rendered:rendered",
        "folder": "untrain.catalogs.folder:from_folder",
        "fashion": "untrain.catalogs.fashion:from_fashion",
    },
)


# Whatever these read lies at ``path``, as files: how many folders deep.
REMEMBERED = {"folder": 0, "fashion": 3}


def guess_format(path: Path) -> str:
    """Return the format that the data at ``path`` seem to have: ``"fashion"`` or ``"folder"``."""
    if path.suffix.lower() == ".zip":
        return "fashion"
    # The places where `from_fashion` looks.
    tables = ("styles.csv", "*/styles.csv", "*/*/styles.csv")
    return "fashion" if any(any(path.glob(table)) for table in tables) else "folder"


def load_catalog(format: str, strict: bool = False, fresh: bool = False, **options: Any) -> Catalog:
    """Build the catalogue of a registered format.

    A folder or zip is read and checked once: its listing is kept in the cache and holds until a
    file of it changes in name, size or time.

    Parameters
    ----------
    format : str
        A name in `CATALOGS`: ``"rendered"``, ``"folder"``, ``"fashion"``, or one registered.
    strict : bool
        Refuse data of which anything cannot be used; given to the formats that can skip.
    fresh : bool
        Read and check everything, whatever the cache holds.
    **options
        The format's own arguments, such as ``path``.

    Raises
    ------
    InputError
        Unknown format, unknown or missing option, or what the format itself raises.
    """
    build = CATALOGS[format]
    known = signature(build).parameters
    open_ended = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in known.values())
    for option in options:
        if option not in known and not open_ended:
            hint = did_you_mean(option, known)
            raise InputError(f"catalogue format '{format}' has no option '{option}'{hint}")
    for name, parameter in known.items():
        named = parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        if named and parameter.default is Parameter.empty and name not in {*options, "strict"}:
            raise InputError(f"catalogue format '{format}' needs the option '{name}'")
    if format in REMEMBERED:
        return remembered(build, format, strict, fresh, options, REMEMBERED[format])
    return build(**options, **({"strict": strict} if "strict" in known else {}))
