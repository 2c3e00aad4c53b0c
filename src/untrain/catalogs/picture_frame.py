"""Tables with pictures in them: data frames that a notebook shows with small pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image

from untrain.core.text import html_text

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import pyarrow as pa

SIDE = 96  # pixels of a picture in a notebook, at most
ROWS = 60  # that a notebook shows


class PictureFrame(pd.DataFrame):
    """A pandas data frame some of whose columns hold pictures (`PIL.Image.Image`, or None).

    In a notebook the pictures are shown. All else is pandas: a frame that is filtered, sorted
    or joined stays one. ``attrs["caption"]`` is a line of text that is shown above it.

    Examples
    --------
    >>> from PIL import Image
    >>> frame = PictureFrame({"name": ["red"], "picture": [Image.new("RGB", (8, 8), "red")]})
    >>> frame.picture_columns
    ['picture']
    >>> frame[frame["name"] == "red"].to_arrow().schema.names
    ['name', 'picture']
    """

    @property
    def _constructor(self) -> Callable[..., PictureFrame]:
        return PictureFrame

    @property
    def picture_columns(self) -> list[str]:
        """The names of the columns that hold pictures."""
        return [
            str(name)
            for name, column in self.items()
            if column.dtype == object and any(isinstance(each, Image.Image) for each in column)
        ]

    def to_arrow(self) -> pa.Table:
        """Return an Arrow table; pictures as structs of ``bytes`` (PNG) and ``path``.

        That is how Hugging Face data sets, and `untrain.load`, hold pictures.
        """
        import pyarrow as pa

        pictures = self.picture_columns
        plain = pd.DataFrame(self).drop(columns=pictures)
        plain.attrs = {}
        table = pa.Table.from_pandas(plain, preserve_index=False)
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        for name in pictures:
            cells = [None if p is None else {"bytes": _png(p), "path": None} for p in self[name]]
            table = table.append_column(name, pa.array(cells, kind))
        return table.select([str(name) for name in self.columns])

    def to_datasets(self) -> datasets.Dataset:
        """Return a data set of `datasets`, which needs ``untrain[datasets]``.

        Raises
        ------
        InputError
            The package is not installed.
        """
        from untrain.catalogs.library import library

        found = library()
        data = found.Dataset(self.to_arrow())
        for name in self.picture_columns:
            data = data.cast_column(name, found.Image())
        return data

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        pictures = set(self.picture_columns)
        cells: dict[Any, Callable[[Any], str]] = {
            name: _picture if str(name) in pictures else _text for name in self.columns
        }
        shown = pd.DataFrame(self).rename(columns=lambda name: html_text(str(name)))
        with pd.option_context("display.max_colwidth", None):
            table = shown.to_html(
                formatters={html_text(str(name)): cell for name, cell in cells.items()},
                escape=False,  # every cell is escaped above
                index=False,
                border=0,
                justify="left",
                max_rows=ROWS,
                na_rep="",
            )
        caption = self.attrs.get("caption")
        return (f"<p>{html_text(str(caption))}</p>" if caption else "") + table


def thumbnail_html(image: Image.Image, words: str = "", side: int = SIDE) -> str:
    """Return a picture as an ``<img>`` that brings its pixels along.

    Parameters
    ----------
    image : PIL.Image.Image
    words : str
        What it shows, for who does not see it.
    side : int
        Its longer side in pixels; smaller pictures are enlarged.
    """
    small = image.convert("RGB")
    small.thumbnail((side, side))
    width = round(side * small.width / max(small.size))
    style = f"width: {width}px; max-width: none; background: white"
    told = html_text(words)
    return f'<img src="{data_uri(small)}" alt="{told}" title="{told}" style="{style}">'


def figure_html(picture: Image.Image | np.ndarray, words: str, side: int = SIDE) -> str:
    """Return a picture with words below it, several of which stand beside each other."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return (
        '<figure style="display: inline-block; margin: 0 8px 8px 0; vertical-align: top">'
        f"{thumbnail_html(image, words, side)}<figcaption>{html_text(words)}</figcaption></figure>"
    )


def data_uri(image: Image.Image) -> str:
    """Return a picture as an address that holds all of it (PNG)."""
    return f"data:image/png;base64,{base64.b64encode(_png(image)).decode()}"


def _picture(value: Any) -> str:
    return thumbnail_html(value) if isinstance(value, Image.Image) else ""


def _text(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else html_text(str(value))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
