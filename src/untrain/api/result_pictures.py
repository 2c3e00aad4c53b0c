"""The pictures of a run: those that its models drew, and its training images."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from untrain.api.effect import check_known
from untrain.api.result_tables import ResultTables
from untrain.core.errors import InputError, UntrainError
from untrain.core.images import open_picture
from untrain.runs.pictures import picture_path

if TYPE_CHECKING:
    from PIL import Image

    from untrain.catalogs.base import Catalog
    from untrain.catalogs.picture_frame import PictureFrame

NEARNESS = "Likeness is no proof of influence"


class ResultPictures(ResultTables):
    """The pictures of a run: see `untrain.Result`."""

    def pictures(self, prompt: str | None = None) -> PictureFrame:
        """Return the generated pictures as a table: by A, with the images found, without them.

        Parameters
        ----------
        prompt : str, optional
            The id or text of a prompt; all of them if left out.

        Returns
        -------
        PictureFrame
            A pandas data frame, a row a picture: prompt_id, prompt, generation, ``picture`` (drawn
            by A), ``picture_with`` and ``picture_without`` (the same noise in a model that was
            trained with the prompt's images, and in one without them; None if there is none) and
            ``near_copy_of``, the training image that it looks like a copy of, mostly missing.

        Raises
        ------
        InputError
            The run has no such prompt, or has drawn nothing yet.

        Examples
        --------
        >>> import untrain
        >>> drawn = untrain.load_result("runs/micro").pictures("p00")
        >>> drawn["picture"].iloc[0].size, len(drawn)
        ((16, 16), 2)
        """
        import pandas as pd

        from untrain.catalogs.picture_frame import PictureFrame
        from untrain.report.copies import copied_from
        from untrain.report.model_pairs import with_and_without

        texts = dict(zip(self.prompts["prompt_id"], self.prompts["prompt"], strict=True))
        chosen = list(texts) if prompt is None else [self._prompt(prompt)]
        done = (self.folder / "results" / "effects.parquet").is_file()
        run = self._read() if done else None
        copies = copied_from(run) if run is not None else {}
        rows, caption = [], ""
        for prompt_id in chosen:
            pair = with_and_without(run, prompt_id) if run is not None else ()
            both = [self._drawn(prompt_id, model) for model in pair] or [{}, {}]
            for number, path in self._drawn(prompt_id, "A").items():
                others = [open_picture(own[number]) if number in own else None for own in both]
                copy = copies.get((prompt_id, str(number)))
                rows.append(
                    (
                        prompt_id,
                        texts[prompt_id],
                        number,
                        open_picture(path),
                        *others,
                        copy or pd.NA,
                    )
                )
            if pair:
                caption = (
                    "Drawn by A; with the same noise by a model that was trained with the images "
                    "found for the prompt, and by one without them"
                    + (f" ({pair[0]}, {pair[1]})." if prompt is not None else ".")
                )
        if not rows:
            raise InputError(f"{self.folder} has no generated pictures yet: run the experiment")
        names = ["prompt_id", "prompt", "generation", "picture", "picture_with", "picture_without"]
        frame = PictureFrame(rows, columns=[*names, "near_copy_of"])
        frame.attrs["caption"] = " ".join(filter(None, [caption, self._doubt()]))
        return frame

    def influences(
        self, prompt: str | None = None, top: int = 10, method: str | None = None
    ) -> PictureFrame:
        """Return the training images that a ranking puts first, as a table with their pictures.

        What a ranking by likeness says is that images are near. Whether they mattered is what the
        trial measured: `effect`, which the table's caption repeats, is about those that are marked
        ``removed``, all of them together.

        Parameters
        ----------
        prompt : str, optional
            The id or text of a prompt; all of them if left out.
        top : int
            Images of each prompt.
        method : str, optional
            The ranking; default: the one that the removed images were chosen by.

        Returns
        -------
        PictureFrame
            A pandas data frame: prompt_id, prompt, method, rank from 1, image_id, ``picture`` (None
            where neither the run nor its data have it any more), caption, score (higher: more
            influential, as far as the method knows) and removed.

        Raises
        ------
        InputError
            The run has no such prompt or ranking.

        Examples
        --------
        >>> import untrain
        >>> found = untrain.load_result("runs/micro").influences("p00", top=3)
        >>> found[["rank", "removed"]].to_dict("list")
        {'rank': [1, 2, 3], 'removed': [True, True, True]}
        """
        from untrain.attribution.registry import is_search_ranking
        from untrain.catalogs.picture_frame import PictureFrame
        from untrain.report.model_pairs import chosen_sets
        from untrain.report.ranking import main_ranking, rows_of
        from untrain.runs.results import rows

        ranking = self.ranking
        own = ranking["method"]
        known = dict.fromkeys(own)
        if method is not None:
            check_known("ranking", method, known)
        finished = (self.folder / "results" / "effects.parquet").is_file()
        run = self._read() if finished else None
        if run is not None:
            table = main_ranking(run) if method is None else rows_of(run, method)
            removed = chosen_sets(run)
        else:
            first = method or self.config.ranking.method
            table = ranking[own == (first if first in known else next(iter(known), ""))]
            table, removed = table.sort_values(["prompt_id", "rank"], kind="stable"), {}
        texts = dict(zip(self.prompts["prompt_id"], self.prompts["prompt"], strict=True))
        chosen = list(texts) if prompt is None else [self._prompt(prompt)]
        table = table[table["prompt_id"].isin(chosen) & (table["rank"] <= top)]
        catalog = self.catalog
        captions = dict(zip(catalog["image_id"], catalog["caption"], strict=True))
        lines = [
            (
                *(line.prompt_id, texts[line.prompt_id], line.method, int(line.rank)),
                *(line.image_id, self._training_image(line.image_id)),
                *(captions.get(line.image_id, ""), line.score),
                line.image_id in removed.get(line.prompt_id, ()),
            )
            for line in rows(table)
        ]
        names = ["prompt_id", "prompt", "method", "rank", "image_id", "picture", "caption"]
        frame = PictureFrame(lines, columns=[*names, "score", "removed"])
        said = []
        if len(frame) and is_search_ranking(str(frame["method"].iloc[0])):
            said.append(f"Ranked by {frame['method'].iloc[0]}. {NEARNESS}.")
        if prompt is not None and run is not None and removed.get(chosen[0]):
            said.append(self._removal(chosen[0], len(removed[chosen[0]])))
        frame.attrs["caption"] = " ".join(filter(None, [*said, self._doubt()]))
        return frame

    def images(self, prompt_id: str, model: str = "A") -> list[Image.Image]:
        """Return the pictures that a model drew for a prompt, in RGB.

        Parameters
        ----------
        prompt_id : str
            The prompt's id, or its text.
        model : str
            ``A`` drew the pictures that were asked about; any other model of the run drew them
            again, each with the noise that it had in A.

        Examples
        --------
        >>> import untrain
        >>> result = untrain.load_result("runs/micro")
        >>> with_them, without_them = result.with_and_without("p00")
        >>> again = result.images("p00", without_them)
        >>> [picture.size for picture in again]
        [(16, 16), (16, 16)]
        """
        return [open_picture(path) for path in self._drawn(self._prompt(prompt_id), model).values()]

    def with_and_without(self, prompt_id: str) -> tuple[str, ...]:
        """Return a model that had the prompt's own images and one that did not, much alike else."""
        from untrain.report.model_pairs import with_and_without

        return with_and_without(self._read(), self._prompt(prompt_id))

    def thumbnail(self, image_id: str) -> Image.Image:
        """Return a small picture of a training image; those that the report shows were kept."""
        path = self._thumbnail(image_id)
        if path is None:
            raise InputError(
                f"{self.folder} keeps no picture of the training image '{image_id}', only of those "
                "that its report shows; untrain.Experiment(config).catalog reads the data itself"
            )
        return open_picture(path)

    def sheet(self, prompts: int | None = None) -> Image.Image:
        """Return generated pictures on one sheet, a row a prompt: by A, with and without."""
        from untrain.report.sheet import generated_sheet

        return generated_sheet(self.folder, rows=prompts)

    def _drawn(self, prompt_id: str, model: str) -> dict[int, Path]:
        """Return the files of the pictures that a model drew for a prompt, by their numbers."""
        drawn_by = {"A": self.folder / "queries"}
        drawn_by |= {f.name: f for f in sorted((self.folder / "generations").glob("*"))}
        check_known("model", model, drawn_by)
        found = (drawn_by[model] / prompt_id).glob("*.png")
        return dict(sorted((int(path.stem), path) for path in found if path.stem.isdecimal()))

    def _thumbnail(self, image_id: str) -> Path | None:
        folder = (self.folder / "thumbnails").resolve()
        path = picture_path(folder, image_id).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None

    def _training_image(self, image_id: str) -> Image.Image | None:
        path = self._thumbnail(image_id)
        if path is not None:
            return open_picture(path)
        if self._training is None or image_id not in self._training.index:
            return None
        return self._training.image(image_id)

    @cached_property
    def _training(self) -> Catalog | None:
        """The run's training images; None where its data are not there any more."""
        from untrain.runs.inputs import open_inputs

        try:
            return open_inputs(self.config).train
        except (UntrainError, OSError):
            return None

    def _removal(self, prompt_id: str, images: int) -> str:
        """Return what the removal of a prompt's own images did, as a sentence."""
        try:
            effect = self.effect(prompt_id)
        except InputError:
            return ""
        if self._read().withheld:
            return ""
        return f"Without the {images} marked removed: {effect.words}."

    def _doubt(self) -> str:
        """Return why the run cannot be trusted; nothing if it can, or has no effects yet."""
        from untrain.report.headline import headline

        if not (self.folder / "results" / "effects.parquet").is_file():
            return ""
        return " ".join(headline(self._read())[:1])
