"""Image–caption data sets: read, check, find duplicates, select, hold out.

Examples
--------
>>> catalog = load_catalog("rendered", families=2, size_of_family=3, resolution=16)
>>> len(catalog)
6
"""

from __future__ import annotations

from untrain.catalogs.base import Catalog, Skipped
from untrain.catalogs.export import export_folder
from untrain.catalogs.formats.fashion import from_fashion
from untrain.catalogs.formats.folder import from_folder
from untrain.catalogs.inspect import inspect, inspect_sheet
from untrain.catalogs.opening import CATALOGS, guess_format, load_catalog
from untrain.catalogs.plant import plant
from untrain.catalogs.rendered.catalog import family_prompt, rendered
from untrain.catalogs.split import hold_out, subset

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
