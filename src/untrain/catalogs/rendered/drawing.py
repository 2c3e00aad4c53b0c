"""Rendered catalogues, cached: thousands of pictures are read in a moment and drawn in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL
import pyarrow as pa

from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered.catalog import rendered
from untrain.core.cache import cached
from untrain.core.files import fingerprint, map_arrow, write_arrow

CODE = ("articles", "catalog", "pictures", "shapes")
"""Modules of this package that decide what is drawn."""
FIXED = ("id", "caption", "hash", "image")
ROWS = 1024  # of a block of the table


def remembered_drawing(options: Mapping[str, Any], fresh: bool = False) -> Catalog:
    """Return ``rendered(**options)``, from the cache if it was drawn before.

    It is known by the arguments, the code that draws, and the versions of the libraries it uses.

    Parameters
    ----------
    options : mapping
        Arguments of `untrain.catalogs.rendered.catalog.rendered`.
    fresh : bool
        Draw anew, whatever is cached.

    Raises
    ------
    InputError
        A number is out of its range.
    """
    bound = signature(rendered).bind(**options)
    bound.apply_defaults()
    code = [(Path(__file__).with_name(f"{name}.py")).read_bytes() for name in CODE]
    versions = PIL.__version__, np.__version__
    catalog, _ = cached(
        "catalogs",
        f"rendered-{fingerprint(bound.arguments, versions, *code)}",
        lambda made: {
            "description": f"{made.name}: {len(made):,} images (rendered)",
            "rows": len(made),
        },
        make=lambda: rendered(**options),
        save=_save,
        load=_load,
        fresh=fresh,
    )
    return catalog


def _save(catalog: Catalog, path: Path) -> None:
    """Write ids, captions, hashes, pictures and attributes as one Arrow file."""
    columns: dict[str, Any] = {
        "id": list(catalog.ids),
        "caption": list(catalog.captions),
        "hash": list(catalog.hashes),
        "image": [catalog.read(image_id) for image_id in catalog.ids],
    }
    columns |= {f"attribute {name}": list(of) for name, of in catalog.attributes.items()}
    about = {"name": catalog.name, "content": catalog.content}
    table = pa.table(columns).replace_schema_metadata(about)
    write_arrow(path, table, ROWS)


def _load(path: Path) -> Catalog:
    table = map_arrow(path)
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    ids, captions, hashes, images = (table[name].to_pylist() for name in FIXED)
    names = [name for name in table.column_names if name not in FIXED]
    rows = {name.removeprefix("attribute "): table[name].to_pylist() for name in names}
    catalog = Catalog(
        name=about["name"],
        ids=tuple(ids),
        captions=tuple(captions),
        hashes=tuple(hashes),
        read=dict(zip(ids, images, strict=True)).__getitem__,
        attributes=pd.DataFrame(rows),
    )
    vars(catalog)["content"] = about["content"]  # a cached property: not computed again
    return catalog
