"""An attribution in Python: tables, arrays and files of what methods said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.errors import InputError
from untrain.core.notebook import line_html, notes_html

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from untrain.attribution.attribute import Attributed
    from untrain.catalogs.base import Catalog
    from untrain.catalogs.picture_frame import PictureFrame
    from untrain.core.notes import Note
    from untrain.generators.queries import Queries

SHOWN = 4  # queries whose images a notebook shows


class Attribution:
    """Which training images queries stand on; `untrain.attribute` returns it.

    Parameters
    ----------
    found : Attributed
        What the methods said.
    queries : Queries
        What was asked about.
    catalog : Catalog
        Where the training images are read from.
    """

    def __init__(self, found: Attributed, queries: Queries, catalog: Catalog) -> None:
        self.found, self.queries, self.catalog = found, queries, catalog

    @property
    def table(self) -> pd.DataFrame:
        """The first images of each method and query, best first.

        Columns method, prompt_id (a picture's name, where pictures were asked about), rank from 1,
        image_id, score (higher: removing the image makes the query worse), caption, same_as; with a
        calibration also effect, low and high: what the removal of this image would cost.
        """
        return self.found.table.copy()

    def images(self) -> PictureFrame:
        """Return `table` with the first picture of each query, ``asked``, and those found."""
        from PIL import Image

        from untrain.catalogs.picture_frame import PictureFrame

        asked = {
            prompt_id: Image.fromarray(self.queries.pictures[int(self.queries.rows(prompt_id)[0])])
            for prompt_id in self.queries.prompt_ids
        }
        table = self.found.table.drop(columns="same_as")
        frame = PictureFrame(table.reset_index(drop=True))
        found = [self.catalog.image(image_id) for image_id in table["image_id"].astype(str)]
        frame.insert(2, "asked", [asked[str(name)] for name in table["prompt_id"]])
        place = list(frame.columns).index("image_id") + 1
        frame.insert(place, "picture", found)
        frame.attrs["caption"] = repr(self)
        return frame

    @property
    def removals(self) -> pd.DataFrame:
        """What removing those images together would cost: effect, low and high, in `unit`.

        A row for each method and query; NaN where a method is not calibrated.
        """
        return self.found.removals.copy()

    @property
    def scores(self) -> np.ndarray:
        """All scores of the first method, float32 (queries, images of the catalogue)."""
        return self.of(self.methods[0])

    def of(self, method: str) -> np.ndarray:
        """Return all scores of a method, float32 (queries, images); NaN where it has none."""
        if method not in self.found.values:
            raise InputError(f"there are no scores of {method}, only of {', '.join(self.methods)}")
        return self.found.values[method].copy()

    def top(self, k: int = 10, method: str | None = None) -> dict[str, list[str]]:
        """Return the ids of the k images that each query stands on most, best first."""
        from untrain.attribution.agreement import order

        scores = self.of(method or self.methods[0])
        ids = self.found.image_ids
        rows = zip(self.found.prompts["prompt_id"], scores, strict=True)
        return {prompt_id: [ids[i] for i in order(row)[:k]] for prompt_id, row in rows}

    @property
    def methods(self) -> list[str]:
        """The methods, in the order that they were asked for in."""
        return self.found.methods

    @property
    def unit(self) -> str:
        """Of effects, such as bits/token."""
        return self.found.unit

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a reader must know, such as pictures that were resized."""
        return self.found.notes

    def to_dict(self) -> dict[str, Any]:
        """Return all but the scores of images not shown, as JSON can hold it."""
        return {"catalog": self.catalog.name, **self.found.to_dict()}

    def save(self, path: str | Path) -> None:
        """Write the table (.csv, .parquet), everything shown (.json), or a page (.html).

        A table of one method is one that ``ranking: {method: "scores:FILE"}`` takes.

        Raises
        ------
        InputError
            Another ending, or something that is no file is in the way.
        """
        from untrain.api.saving import save_found
        from untrain.report.page.attribution import attribution_page

        def page() -> str:
            return attribution_page(self.found, self.queries, self.catalog)

        save_found(path, self.found.table, self.to_dict, page)

    def __len__(self) -> int:
        return len(self.found.prompts)

    def __repr__(self) -> str:
        asked = f"{len(self)} {'query' if len(self) == 1 else 'queries'}"
        scale = self.unit if self.found.calibrated else "uncalibrated"
        return (
            f"Attribution of {asked} to {len(self.catalog):,} images by "
            f"{', '.join(self.methods)} ({scale})"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what it is, notes, each query beside its first images."""
        from untrain.catalogs.picture_frame import figure_html

        parts, table = [], self.found.table
        for prompt_id in self.queries.prompt_ids[:SHOWN]:
            asked = self.queries.of(prompt_id)
            for method in self.methods:
                own = table[(table["prompt_id"] == prompt_id) & (table["method"] == method)].head(8)
                cells = [figure_html(asked.pictures[0], "asked")]
                cells += [
                    figure_html(
                        self.catalog.image(str(line.image_id)), f"{line.rank}  {line.score:.3g}"
                    )
                    for line in own.itertuples()
                ]
                words = f"{asked.texts[prompt_id] or prompt_id}, by {method}"
                parts.append(line_html(words) + f"<div>{''.join(cells)}</div>")
        rest = len(self) - SHOWN
        if rest > 0:
            parts.append(line_html(f"… and {rest} more: `images()` and `table` have them all"))
        notes = notes_html([str(note) for note in self.notes])
        return f"{line_html(repr(self))}{notes}{''.join(parts)}"
