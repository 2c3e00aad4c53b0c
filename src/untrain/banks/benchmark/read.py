"""A benchmark as it lies in a folder, and what it says of scores.

`untrain.banks.benchmark.write.write_benchmark` makes the folder from a run and its bank; nothing
else of the run is needed. It holds

- ``benchmark.json``: what it is about; ``README.md``: the data card; ``SHA256SUMS``;
- ``images.parquet``: image_id, caption, content (a hash: equal for identical images), the
  attributes of rendered images, and file (within ``images``) where pictures are passed on;
- ``prompts.csv``: prompt_id, prompt, family; ``queries.csv``: prompt_id, generation, the rows of
  ``queries.safetensors`` (``samples``: what model A sampled, and ``text``, its prompt as tokens,
  where prompts are tokens); the pictures are ``queries/<prompt_id>/<generation>.png``;
- ``model``, ``shared``: model A and the frozen parts of its generator as untrain saves them;
  ``model.py``: the reference model in one file that needs torch and safetensors only;
- ``models.csv``: model_id, draw, seed; ``kept.safetensors``: ``kept``, uint8 (models, images),
  rows as that table, columns as ``images.parquet``; ``outcomes.parquet``: model_id, prompt_id,
  generation, value;
- ``baselines.safetensors``: scores of methods to compare with, float32 (prompts, images) each.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from untrain.attribution.base import Evidence, Scores
from untrain.banks.judging import Truth, judge, limits
from untrain.catalogs.base import Catalog
from untrain.core.columns import PROMPT
from untrain.core.errors import InputError
from untrain.core.files import read_csv, read_json, read_parquet
from untrain.core.outside import read_bytes
from untrain.core.tensors import read_arrays
from untrain.generators.base import Generator
from untrain.generators.queries import Queries
from untrain.generators.spec import GeneratorSpec
from untrain.runs.leaderboard import COLUMNS, Leaderboard
from untrain.runs.pictures import PictureFiles
from untrain.search.rank.scores import read_scores

FORMAT, VERSION = "untrain-benchmark", 1
OWN = "scores"
"""What the scores that are judged are called, unless a name is given."""
TEXT = ("image_id", "caption", "content", "file")


class Benchmark:
    """Models without random halves of a catalogue, and the pictures that they are asked about.

    Parameters
    ----------
    folder : Path or str
        What `untrain benchmark export` wrote.

    Raises
    ------
    InputError
        The folder is no benchmark, or one of another version.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        file = self.folder / "benchmark.json"
        if not file.is_file():
            raise InputError(
                f"{folder} is no benchmark: it has no benchmark.json; make one with "
                "`untrain benchmark export RUN -o FOLDER`"
            )
        self.about: dict[str, Any] = read_json(file)
        found = self.about.get("format"), self.about.get("version")
        if found != (FORMAT, VERSION):
            raise InputError(
                f"{file} is of the format {found[0]}, version {found[1]}; expected {FORMAT}, "
                f"version {VERSION}: use the untrain that wrote it"
            )

    @cached_property
    def prompts(self) -> pd.DataFrame:
        """Columns prompt_id, prompt, family (empty where unknown): the rows of scores."""
        table = read_csv(self.folder / "prompts.csv", exact=True, dtype=str, keep_default_na=False)
        return table.assign(role="query")

    @cached_property
    def catalog(self) -> Catalog:
        """The training images, with the fingerprint that they have in the run."""
        table = read_parquet(self.folder / "images.parquet")
        files = dict(zip(table["image_id"], table["file"], strict=True)) if "file" in table else {}

        def read(image_id: str) -> bytes:
            if image_id not in files:
                raise InputError(
                    f"{self.folder} does not hold the training images, which are not free to be "
                    "passed on: use methods that need only tokens or captions"
                )
            return self._image(str(files[image_id]))

        ids, captions, hashes = (tuple(table[name]) for name in TEXT[:3])
        attributes = table.drop(columns=[name for name in TEXT if name in table])
        about = self.about["catalog"]
        return Catalog(
            about["name"], ids, captions, hashes, read, attributes, resize=about["resize"]
        )

    def _image(self, name: str) -> bytes:
        """Return a file of the folder of images, and of no other: the table may be anybody's."""
        if Path(name).name != name:
            raise InputError(f"{self.folder / 'images.parquet'} names '{name}', which is no file")
        try:
            return read_bytes(self.folder / "images" / name)
        except OSError as error:
            raise InputError(f"image '{name}' cannot be read ({error.strerror})") from None

    @cached_property
    def queries(self) -> Queries:
        """The pictures that A generated; samples where A has any."""
        table = read_csv(self.folder / "queries.csv", dtype={"prompt_id": str})
        keys = tuple((str(p), int(g)) for p, g in table[["prompt_id", "generation"]].to_numpy())
        PROMPT.check_names(table["prompt_id"], str(self.folder / "queries.csv"))
        texts = dict(zip(self.prompts["prompt_id"], self.prompts["prompt"], strict=True))
        pictures = PictureFiles([self.folder / "queries" / p / f"{g}.png" for p, g in keys])
        file = self.folder / "queries.safetensors"
        samples = read_arrays(file)["samples"] if file.is_file() else None
        return Queries(keys, texts, pictures, samples)

    @cached_property
    def kept(self) -> np.ndarray:
        """Which model was trained on which image, bool (models, images)."""
        return read_arrays(self.folder / "kept.safetensors")["kept"].astype(bool)

    @cached_property
    def outcomes(self) -> np.ndarray:
        """The mean over its pictures of each prompt in each model, float64 (models, prompts).

        In ``about["unit"]``; higher is worse.
        """
        models = read_csv(self.folder / "models.csv", dtype={"model_id": str})["model_id"]
        table = read_parquet(self.folder / "outcomes.parquet")
        means = table.groupby(["model_id", "prompt_id"])["value"].mean().unstack()
        return means.loc[models, self.prompts["prompt_id"]].to_numpy(np.float64)

    @cached_property
    def baselines(self) -> dict[str, Scores]:
        """Scores of the methods to compare with, by name."""
        file = self.folder / "baselines.safetensors"
        if not file.is_file():
            return {}
        stored = read_arrays(file)
        return {
            each["name"]: Scores(
                stored[each["name"]],
                np.nan if each["seconds"] is None else each["seconds"],
                once=each["once"],
            )
            for each in self.about["baselines"]
        }

    def model(self) -> Generator:
        """Return model A, loaded.

        Raises
        ------
        InputError
            The benchmark does not hold all of it, or its class is not to be had here.
        """
        about = self.about["generator"]
        if not about["complete"]:
            raise InputError(
                f"{self.folder} does not hold the frozen parts of the generator, from which the "
                "training images could be told"
            )
        spec = GeneratorSpec(about["name"], about["seed"], about["precision"], about["options"])
        generator = spec.make()
        generator.prepare(self.catalog, self.folder / "shared", lambda n: None)
        return generator.load(self.folder / "model")

    def evidence(self, model: Generator | None = None) -> Evidence:
        """Return what untrain's own attributors need, but for the comparison by every metric.

        Parameters
        ----------
        model : Generator, optional
            As `model` returns it, for methods with gradients.
        """
        return Evidence(self.catalog, self.queries, self.prompts, model=model)

    def score(
        self, scores: Path | str | np.ndarray | Scores, k: int = 10, name: str = OWN
    ) -> Leaderboard:
        """Judge scores by what the models do without the images.

        Parameters
        ----------
        scores : Path, ndarray (prompts, images) or Scores
            Higher: removing the image makes the query worse. In a Parquet or CSV file the columns
            prompt (id or text), image (id) and score; pairs that are left out count as the lowest
            of the prompt. An array has rows as `prompts` and columns as `catalog`; so have those
            in files of TRAK, dattri, kronfluence, quanda and NumPy
            (`untrain.search.rank.arrays`), which may also have rows as `queries`.
        k : int
            How many of the first images the effect and the family precision are of.
        name : str
            What the scores are called.

        Returns
        -------
        Leaderboard
            A row for the scores and one for each baseline. ``lead`` is the LDS of a row minus that
            of the scores, on the same models and queries: below 0 where the scores are ahead.

        Raises
        ------
        InputError
            The scores do not fit the benchmark, or k is impossible.
        """
        if not 1 <= k <= len(self.catalog):
            raise InputError(f"k is {k}; choose 1 to {len(self.catalog)}, the number of images")
        if name in self.baselines:
            raise InputError(f"a baseline is called '{name}': choose another name")
        given = self._given(scores)
        if given.values.shape != (expected := (len(self.prompts), len(self.catalog))):
            raise InputError(f"scores of the shape {given.values.shape}; expected {expected}")
        return self._board({name: given, **self.baselines}, name, k)

    def leaderboard(self, reference: str, k: int = 10) -> Leaderboard:
        """Judge the baselines; ``lead`` is relative to one of them, the ``reference``."""
        return self._board(self.baselines, reference, k)

    def _given(self, scores: Path | str | np.ndarray | Scores) -> Scores:
        if isinstance(scores, Scores):
            return scores
        if isinstance(scores, np.ndarray):
            return Scores(scores)
        table = read_scores(Path(scores), self.prompts, self.catalog.ids).table
        wide = table.pivot(index="prompt_id", columns="image_id", values="score")
        rows = wide.reindex(index=self.prompts["prompt_id"], columns=list(self.catalog.ids))
        return Scores(rows.to_numpy())

    def _board(self, scores: Mapping[str, Scores], reference: str, k: int) -> Leaderboard:
        groups = pd.factorize(pd.Series(self.catalog.hashes))[0]
        families = Evidence(self.catalog, self.queries, self.prompts).families
        truth = Truth(self.kept, self.outcomes, groups, families, k)
        kinds = {each["name"]: each["kind"] for each in self.about["baselines"]}
        judged = {
            name: judge(name, kinds.get(name, OWN), [values], truth)
            for name, values in scores.items()
        }
        against, _ = judged[reference]
        rows = [row | limits("lead", estimate - against, 2.0) for estimate, row in judged.values()]
        table = pd.DataFrame(rows, columns=COLUMNS)
        return Leaderboard(
            table.sort_values(["lds", "name"], ascending=[False, True], ignore_index=True),
            name=self.about["name"],
            k=k,
            models=len(self.kept),
            queries=len(self.prompts),
            images=len(self.catalog),
            candidates=len(self.catalog),
            reference=reference,
            unit=self.about["unit"],
        )

    def __repr__(self) -> str:
        models, images = self.kept.shape
        return f"Benchmark of {models} models and {images} images, in {self.folder.as_posix()}"
