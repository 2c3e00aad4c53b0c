"""Tracing in Python: pictures in, the nearest training images out, as tables and pages."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from untrain.api.given import Pictures
    from untrain.catalogs.base import Catalog
    from untrain.core.notes import Note
    from untrain.encoders import Encoder
    from untrain.search.trace import Trace


def trace(
    pictures: Pictures,
    catalog: Catalog | str | Path | Any,
    prompt: str | None = None,
    encoder: Encoder | str | None = None,
    top: int = 10,
    candidates: int = 200,
    index: str = "exact",
    ranking: str = "fusion",
    fresh: bool = False,
    edited: str = "fast",
) -> Traced:
    """Return the training images nearest to pictures, out of a whole catalogue.

    Parameters
    ----------
    pictures
        One or several, as `untrain.api.given.named_pictures` takes them: paths, Pillow images,
        arrays, or a mapping of names to them.
    catalog
        As `untrain.api.given.catalog_of` takes it: a catalogue, its path, or a run.
    prompt : str, optional
        What the pictures were drawn for: captions are then searched, too.
    encoder : Encoder or str, optional
        An encoder, or the name of one.
    top, candidates, index, ranking, fresh, edited
        As `untrain.search.trace.trace` takes them.

    Raises
    ------
    InputError
        Something is no picture or no catalogue, or an option is none that is known.

    Examples
    --------
    >>> import untrain
    >>> catalog = untrain.load_catalog("rendered", families=2, resolution=32)
    >>> found = untrain.trace(catalog.image(catalog.ids[3]), catalog, top=3)
    >>> found.table["image_id"].iloc[0] == catalog.ids[3]
    True
    """
    from untrain.api.given import catalog_of, named_pictures
    from untrain.encoders import load_encoder
    from untrain.search.trace import trace as find

    opened, images = catalog_of(catalog), named_pictures(pictures)
    used = load_encoder(encoder) if isinstance(encoder, str) else encoder
    search = top, candidates, index, ranking, fresh, edited
    found = find(images, opened, prompt, used, *search)
    return Traced(found, images, opened)


class Traced:
    """The training images nearest to pictures; `untrain.trace` returns it.

    Attributes
    ----------
    found : Trace
        All that the search found.
    pictures : dict of str to ndarray
        What was asked about, by name, uint8 height × width × 3.
    catalog : Catalog
    """

    def __init__(self, found: Trace, pictures: dict[str, np.ndarray], catalog: Catalog) -> None:
        self.found, self.pictures, self.catalog = found, pictures, catalog

    @property
    def table(self) -> pd.DataFrame:
        """The hits, by query, best first: rank, image_id, score, caption, …, every metric."""
        return self.found.table.copy()

    @property
    def copies(self) -> pd.DataFrame:
        """The copy test, a row a picture."""
        return self.found.copies.copy()

    @property
    def edited(self) -> pd.DataFrame:
        """Copies that were edited, as `CopyDetector.find` returns them; or what is nearest."""
        return self.found.edited.copy()

    @property
    def ranked(self) -> pd.DataFrame:
        """Every image that was compared, with its score."""
        return self.found.ranked.copy()

    @property
    def about(self) -> dict[str, Any]:
        """What was searched, and how."""
        return dict(self.found.about)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by part."""
        return dict(self.found.seconds)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a reader must know."""
        return self.found.notes

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        return self.found.to_dict()

    def to_html(self) -> str:
        """Return the page of ``untrain trace``, which needs no network."""
        from untrain.report.page.trace import trace_page

        return trace_page(self.found, self.pictures, self.catalog)

    def save(self, path: str | Path) -> None:
        """Write the table (.csv, .parquet), all of it (.json), or the page (.html).

        Raises
        ------
        InputError
            Another ending, or something that is no file is in the way.
        """
        from untrain.api.saving import save_found

        save_found(path, self.found.table, self.to_dict, self.to_html)

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        asked = "1 picture" if len(self) == 1 else f"{len(self)} pictures"
        copies = int(self.found.copies["near_copy"].sum())
        told = f", near copies of {copies}" if copies else ""
        return f"Trace of {asked} in {len(self.catalog):,} images of {self.catalog.name}{told}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: each picture beside its nearest images."""
        from PIL import Image

        from untrain.report.edited import copy_sentence
        from untrain.report.page.trace import copy_verdict, data_uri

        rows = []
        for copy in self.found.copies.itertuples():
            hits = self.found.table[self.found.table["query"] == copy.query].head(8)
            cells = [_figure(data_uri(Image.fromarray(self.pictures[str(copy.query)]), 160), "")]
            for place, image_id in zip(hits["rank"], hits["image_id"].astype(str), strict=True):
                uri = data_uri(self.catalog.image(image_id), 120)
                cells.append(_figure(uri, f"{place}  {image_id}"))
            said = copy_verdict(copy)
            own = self.found.edited[self.found.edited["query"] == copy.query]
            if len(own):
                said += f" {copy_sentence(own, self.found.about['edited'])}"
            rows.append(f"<p>{escape(said)}</p><div>{''.join(cells)}</div>")
        return f"<p>{escape(repr(self))}</p>{''.join(rows)}"


def _figure(uri: str, words: str) -> str:
    return (
        '<figure style="display: inline-block; margin: 0 8px 8px 0; vertical-align: top">'
        f'<img src="{uri}" style="height: 110px; background: white" alt="{escape(words)}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )
