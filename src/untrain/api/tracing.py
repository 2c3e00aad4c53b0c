"""Tracing in Python: pictures in, the nearest training images out, as tables and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.text import html_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from untrain.api.given import OfRun, Pictures
    from untrain.catalogs.base import Catalog
    from untrain.catalogs.formats.memory import Table
    from untrain.catalogs.picture_frame import PictureFrame
    from untrain.core.notes import Note
    from untrain.encoders import Encoder
    from untrain.search.asked import Asked
    from untrain.search.trace import Trace

SHOWN = 12  # pictures that a notebook shows


def trace(
    pictures: Pictures | pd.DataFrame,
    catalog: Catalog | Table | OfRun | str | Path,
    prompt: str | Sequence[str] | Mapping[str, str] | None = None,
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
        arrays, or a mapping of names to them. Or a folder of pictures, a table of them (CSV,
        Parquet), or a DataFrame with a column of pictures (``image``, ``path``, …) and perhaps one
        of prompts (``prompt``, ``caption``, …); of these, pictures that cannot be read are skipped
        (`Traced.skipped`).
    catalog
        As `untrain.api.given.catalog_of` takes it: a catalogue, its path, a table, or a run.
    prompt : str, sequence of str or mapping of str to str, optional
        What the pictures were drawn for: captions are then searched, too. One for all, one for
        each, or by the names of the pictures.
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
    from untrain.core.errors import InputError
    from untrain.encoders import load_encoder
    from untrain.search.trace import trace as find

    asked = _several(pictures)
    images = asked if asked is not None else named_pictures(pictures)  # type: ignore[arg-type]
    if prompt is None and asked is not None:
        prompt = asked.prompts
    elif prompt is not None and not isinstance(prompt, (str, Mapping)):
        if len(prompt) != len(images):
            raise InputError(
                f"{len(prompt)} prompts were given for {len(images)} pictures; expected one for "
                "all, or one for each"
            )
        prompt = dict(zip(images, prompt, strict=True))
    opened = catalog_of(catalog)
    used = load_encoder(encoder) if isinstance(encoder, str) else encoder
    search = top, candidates, index, ranking, fresh, edited
    found = find(images, opened, prompt, used, *search, strict=asked is None)
    if asked is not None:
        found = replace(found, skipped=(*asked.skipped, *found.skipped))
    return Traced(found, images, opened)


def _several(pictures: Any) -> Asked | None:
    """Return the pictures of a folder or a table; None of anything else."""
    import pandas as pd

    from untrain.catalogs.pictures import local_path
    from untrain.search.asked import asked_in, asked_of_table, is_several

    if isinstance(pictures, pd.DataFrame):
        return asked_of_table(pictures)
    if isinstance(pictures, (str, Path)) and is_several(local_path(pictures)):
        return asked_in([local_path(pictures)])
    return None


class Traced:
    """The training images nearest to pictures; `untrain.trace` returns it.

    Attributes
    ----------
    found : Trace
        All that the search found.
    pictures : mapping of str to ndarray
        What was asked about, by name, uint8 height × width × 3.
    catalog : Catalog
    """

    def __init__(self, found: Trace, pictures: Mapping[str, np.ndarray], catalog: Catalog) -> None:
        self.found, self.pictures, self.catalog = found, pictures, catalog

    @property
    def table(self) -> pd.DataFrame:
        """The hits, by query, best first: rank, image_id, score, caption, …, every metric."""
        return self.found.table.copy()

    def images(self) -> PictureFrame:
        """Return `table` with the pictures that were asked about and those that were found.

        Columns query, ``asked``, rank, image_id, ``picture``, caption, score.
        """
        from PIL import Image

        from untrain.catalogs.picture_frame import PictureFrame

        asked = {name: Image.fromarray(pixels) for name, pixels in self.pictures.items()}
        table = self.found.table[["query", "rank", "image_id", "caption", "score"]]
        frame = PictureFrame(table.reset_index(drop=True))
        found = [self.catalog.image(image_id) for image_id in table["image_id"].astype(str)]
        frame.insert(1, "asked", [asked[str(name)] for name in table["query"]])
        frame.insert(4, "picture", found)
        return frame

    @property
    def summary(self) -> pd.DataFrame:
        """A row a picture: the nearest image and the verdict on copies, as `Trace.summary`."""
        return self.found.summary.copy()

    @property
    def skipped(self) -> dict[str, str]:
        """Pictures of a folder or table that could not be read, and why."""
        return {each.name: each.reason for each in self.found.skipped}

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

        A path without an ending becomes a folder: a page of all pictures, one for each, and tables.

        Raises
        ------
        InputError
            Another ending, or something else is in the way.
        """
        from untrain.api.saving import save_found
        from untrain.report.page.trace_folder import write_trace_folder

        if not Path(path).suffix:
            write_trace_folder(Path(path), self.found, self.pictures, self.catalog)
            return

        save_found(path, self.found.table, self.to_dict, self.to_html)

    def __len__(self) -> int:
        return len(self.found.queries)

    def __repr__(self) -> str:
        from untrain.search.traced import NEAR

        asked = "1 picture" if len(self) == 1 else f"{len(self)} pictures"
        copies = int((self.found.summary["verdict"] == NEAR).sum())
        told = f", near copies of {copies}" if copies else ""
        return f"Trace of {asked} in {len(self.catalog):,} images of {self.catalog.name}{told}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: each picture beside its nearest images."""
        from PIL import Image

        from untrain.report.edited import copy_sentence
        from untrain.report.page.inline import data_uri
        from untrain.report.page.trace import copy_verdict

        summary, rows = self.found.summary, []
        verdicts = dict(zip(summary["query"], summary["verdict"], strict=True))
        for copy in self.found.copies.head(SHOWN).itertuples():
            hits = self.found.table[self.found.table["query"] == copy.query].head(8)
            cells = [_figure(data_uri(Image.fromarray(self.pictures[str(copy.query)]), 160), "")]
            for place, image_id in zip(hits["rank"], hits["image_id"].astype(str), strict=True):
                uri = data_uri(self.catalog.image(image_id), 120)
                cells.append(_figure(uri, f"{place}  {image_id}"))
            said = copy_verdict(copy, verdicts[copy.query])
            own = self.found.edited[self.found.edited["query"] == copy.query]
            if len(own):
                said += f" {copy_sentence(own, self.found.about['edited'])}"
            rows.append(f"<p>{html_text(said)}</p><div>{''.join(cells)}</div>")
        more = f"<p>… {len(self) - SHOWN} more: summary, to_html()</p>" if len(self) > SHOWN else ""
        return f"<p>{html_text(repr(self))}</p>{''.join(rows)}{more}"


def _figure(uri: str, words: str) -> str:
    return (
        '<figure style="display: inline-block; margin: 0 8px 8px 0; vertical-align: top">'
        f'<img src="{uri}" style="height: 110px; background: white" alt="{html_text(words)}">'
        f"<figcaption>{html_text(words)}</figcaption></figure>"
    )
