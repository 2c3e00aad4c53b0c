"""Finished pictures with their prompts, in place of a model: what can be traced, not removed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog, fit_into
from untrain.core.files import write_csv
from untrain.settings.sections import Given

if TYPE_CHECKING:
    from untrain.runs.run import Run


@dataclass(frozen=True)
class GivenPictures:
    """Finished pictures.

    Attributes
    ----------
    catalog : Catalog
        The pictures; their captions are the prompts they were drawn for.
    """

    catalog: Catalog

    @classmethod
    def open(cls, given: Given) -> GivenPictures:
        """Read what the setting ``generations`` names.

        Raises
        ------
        InputError
            It cannot be read, or holds no picture with a prompt.
        """
        return cls(load_catalog(given.format, path=given.path))

    @property
    def prompts(self) -> pd.DataFrame:
        """Each caption once, in order: columns prompt_id, prompt, family, role."""
        texts = list(dict.fromkeys(self.catalog.captions))
        width = max(2, len(str(len(texts) - 1)))
        ids = [f"p{i:0{width}d}" for i in range(len(texts))]
        return pd.DataFrame({"prompt_id": ids, "prompt": texts, "family": "", "role": "query"})

    @cached_property
    def ids(self) -> dict[str, list[str]]:
        """The pictures of each prompt_id, in order."""
        named = dict(zip(self.prompts["prompt"], self.prompts["prompt_id"], strict=True))
        found: dict[str, list[str]] = {prompt_id: [] for prompt_id in named.values()}
        for image_id, caption in zip(self.catalog.ids, self.catalog.captions, strict=True):
            found[named[caption]].append(image_id)
        return found

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the first picture, which all are brought to."""
        width, height = self.catalog.image(self.catalog.ids[0]).size
        return height, width


def take(run: Run) -> None:
    """Take the given pictures for those that a model would have drawn."""
    from untrain.experiment.stages import stages
    from untrain.runs.pictures import save_pictures
    from untrain.training import models as bank

    given = run.given
    assert given is not None
    bank.write_index(run)
    pictures = {
        f"{prompt_id}/{number}": np.asarray(
            fit_into(given.catalog.image(image_id), given.image_size)
        )
        for prompt_id, ids in given.ids.items()
        for number, image_id in enumerate(ids)
    }
    save_pictures(run.path("queries"), pictures)
    write_csv(run.path("prompts.csv"), run.prompts)
    shown = [(key.partition("/")[0], picture) for key, picture in pictures.items()]
    stages.judge_quality(run, shown)
