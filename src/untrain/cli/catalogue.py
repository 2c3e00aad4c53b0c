"""Opening the catalogue that a command line names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from untrain.catalogs import Catalog


def open_catalogue(
    path: Path | None, format: str = "", strict: bool = False, fresh: bool = False
) -> Catalog:
    """Return a catalogue; without a path the rendered one, its format guessed if left out.

    Raises
    ------
    InputError
        If the format needs a path, or takes none; and as `untrain.catalogs.load_catalog`.
    """
    from untrain.catalogs import guess_format, load_catalog
    from untrain.errors import InputError

    name = format or (guess_format(path) if path else "rendered")
    if name == "rendered" and path is not None:
        raise InputError("the rendered catalogue takes no path")
    if name in ("folder", "fashion") and path is None:
        raise InputError(f"a catalogue of format '{name}' needs a path")
    options: dict[str, Any] = {} if path is None else {"path": path}
    return load_catalog(name, strict=strict, fresh=fresh, **options)
