"""Finished pictures with their prompts instead of a model: nothing can be retrained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog, fit_into
from untrain.generators.queries import Queries
from untrain.settings.sections import Given


@dataclass(frozen=True)
class GivenPictures:
    """Finished pictures.

    Attributes
    ----------
    catalog : Catalog
        The pictures; their captions are the prompts they were generated for.
    """

    catalog: Catalog

    @classmethod
    def open(cls, given: Given) -> GivenPictures:
        """Read the pictures that the setting ``generations`` names.

        Raises
        ------
        InputError
            They cannot be read, or none has a prompt.
        """
        return cls(load_catalog(given.format, path=given.path))

    @property
    def prompts(self) -> pd.DataFrame:
        """Each caption once, in order: columns prompt_id, prompt, family, role."""
        texts = list(dict.fromkeys(self.catalog.captions))
        width = max(2, len(str(len(texts) - 1)))
        ids = [f"p{i:0{width}d}" for i in range(len(texts))]
        return pd.DataFrame({"prompt_id": ids, "prompt": texts, "family": None, "role": "query"})

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
        """(height, width) of the first picture, to which all are resized."""
        width, height = self.catalog.image(self.catalog.ids[0]).size
        return height, width

    @property
    def fingerprint(self) -> str:
        """Of pictures and prompts."""
        return self.catalog.fingerprint

    def queries(self) -> Queries:
        """Return the pictures, resized to one size."""
        keys, pictures = [], []
        for prompt_id, ids in self.ids.items():
            for generation, image_id in enumerate(ids):
                keys.append((prompt_id, generation))
                picture = fit_into(self.catalog.image(image_id), self.image_size)
                pictures.append(np.asarray(picture))
        texts = dict(zip(self.prompts["prompt_id"], self.prompts["prompt"], strict=True))
        return Queries(tuple(keys), texts, pictures)
