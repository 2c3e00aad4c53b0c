"""A model that has forgotten some of its training images, and what was done to it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.notebook import line_html, table_html

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from untrain.generators.base import Generator


class UnlearnedModel:
    """A model that has forgotten some of its training images.

    Attributes
    ----------
    folder : Path
        Of the model: `untrain.attribute` and others take it as ``named``.
    record : dict
        The content of ``unlearned.json``: method, options, budget, what was spent, ids and hashes
        of the images, fingerprints of data and model before and after.
    """

    def __init__(self, run: Path, folder: Path) -> None:
        from untrain.runs.unlearned import read_unlearned

        self._run, self.folder = run, folder
        self.record: dict[str, Any] = read_unlearned(folder)

    @cached_property
    def generator(self) -> Generator:
        """The model itself."""
        from untrain.runs.evidence import fitted_model
        from untrain.runs.run import open_run

        return fitted_model(open_run(self._run), str(self.folder.resolve()))

    @property
    def losses(self) -> pd.DataFrame:
        """The mean training loss of forgotten, retained and held-out pairs, before and after."""
        import pandas as pd

        return pd.DataFrame(self.record["losses"]).T.rename_axis("group").reset_index()

    def sheet(self) -> Image.Image:
        """Return pictures of the run's prompts by both models, before on the left of each row."""
        from untrain.core.images import open_picture
        from untrain.runs.unlearned import SHEET

        return open_picture(self.folder / SHEET)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: mean losses before and after, and pictures."""
        from untrain.catalogs.picture_frame import data_uri

        words = "Pictures of the run's prompts, before on the left and after on the right"
        picture = data_uri(self.sheet())
        return (
            f"{line_html(repr(self))}{table_html(self.losses)}"
            f'<p><img style="max-width: 100%" alt="{words}" title="{words}" src="{picture}"></p>'
        )

    def __repr__(self) -> str:
        forgotten, method = len(self.record["forget"]), self.record["method"]
        return f"UnlearnedModel('{self.folder.as_posix()}'): {forgotten} images by {method}"
