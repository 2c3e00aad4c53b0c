"""The result of a run: tables, words and pictures, read from its folder."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.api.effect import Effect, check_known
from untrain.core.errors import InputError
from untrain.core.vocabulary import UNLEARNING

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from untrain.api.requested import Takedown
    from untrain.api.unlearned import UnlearnedModel
    from untrain.runs.results import RunResults

SHOWN = 4  # prompts whose pictures a notebook shows


def load_result(folder: str | Path) -> Result:
    """Open the result of a run: its folder, or its name in ``runs``.

    Raises
    ------
    InputError
        There is no such run.

    Examples
    --------
    >>> load_result("runs/micro").verdicts["prompt_id"].tolist()
    ['p00', 'p01', 'p02', 'p03', 'c00', 'c01']
    """
    return Result(folder)


class Result:
    """What a run found, read from its folder; what its stages have not come to is an `InputError`.

    Tables are read anew each time they are asked for, so that they are yours to change.

    Parameters
    ----------
    folder : str or Path
        A run folder, or the name of one in ``runs``.

    Examples
    --------
    >>> result = Result("runs/micro")
    >>> best = result.ranking.query("method == 'fusion' and rank <= 3")
    >>> best.groupby("prompt_id")["image_id"].count().tolist()
    [3, 3, 3, 3, 3, 3]
    """

    def __init__(self, folder: str | Path) -> None:
        from untrain.runs.find import find_run

        self.folder = find_run(Path(folder))

    # Tables ------------------------------------------------------------------------------------

    @property
    def prompts(self) -> pd.DataFrame:
        """Columns prompt_id, prompt, family (may be missing), role (query or control), seen."""
        return self._table("prompts")

    @property
    def catalog(self) -> pd.DataFrame:
        """All training images: columns image_id, caption, content (a hash)."""
        return self._table("catalog")

    @property
    def retrieval(self) -> pd.DataFrame:
        """The candidates: columns prompt_id, image_id, rank, score."""
        return self._table("retrieval")

    @property
    def comparison(self) -> pd.DataFrame:
        """Every metric of every generated picture against every candidate of its prompt."""
        return self._table("comparison")

    @property
    def ranking(self) -> pd.DataFrame:
        """Columns method, prompt_id, image_id, score (higher: more influential), rank from 1."""
        return self._table("ranking")

    @property
    def forget_sets(self) -> pd.DataFrame:
        """Which images are in which forget set: forget_set_id, arm, prompt_id, k, image_id, …"""
        return self._table("forget_sets")

    @property
    def measures(self) -> pd.DataFrame:
        """Columns model_id, prompt_id, generation, measure, value; the primary one is in `unit`."""
        return self._table("results/measures")

    @property
    def effects(self) -> pd.DataFrame:
        """Effects by design, arm, k, prompt (missing: overall) and measure, with interval and p."""
        return self._table("results/effects")

    @property
    def verdicts(self) -> pd.DataFrame:
        """Columns prompt_id, verdict, reason and p_holm, the p adjusted for all prompts.

        A run that cannot be trusted (`doubts`) withholds its verdicts.
        """
        from untrain.evaluation.trust import withhold

        run = self._read()
        return withhold(self._table("results/verdicts"), run.effects, run.doubts)

    @property
    def fidelity(self) -> pd.DataFrame:
        """How near methods of unlearning came to exact retraining: method, budget, group, rho, …"""
        return self._table("results/fidelity")

    @property
    def overall(self) -> pd.DataFrame:
        """The overall effects in `unit`, a row an arm and size, naive figures beside them."""
        from untrain.report.tables.effects import overall_table

        return overall_table(self._read().effects)

    def shares(self, by: str | None = None) -> pd.DataFrame:
        """Return what share each group of training images has in what the model learnt.

        Columns scope (overall, held_out, prompt, picture), prompt_id, generation, group, images,
        shapley with its limits, status (``separable`` from zero or not), share, banzhaf, …:
        `untrain.core.tables.SHARES`. ``untrain bank FILE --by brand`` or `Experiment.shares` makes
        them.

        Parameters
        ----------
        by : str, optional
            What makes the groups, such as ``brand``; not needed where there is only one.

        Raises
        ------
        InputError
            There are none, or several and ``by`` says not which.
        """
        from untrain.runs.shares import read_shares

        return read_shares(self.folder, by).table

    def effect(self, prompt_id: str, arm: str | None = None, k: int | None = None) -> Effect:
        """Return what removing a prompt's images does to its pictures.

        Parameters
        ----------
        prompt_id : str
        arm : str, optional
            Which images: ``targeted`` (those found for the prompt), ``random_uniform``, or another
            arm of the run. Default: ``family`` for a positive control, else ``targeted``.
        k : int, optional
            The size of the set. Default: the smallest, which verdicts are about.

        Raises
        ------
        InputError
            The run has no such prompt, arm or size, or no effects yet.

        Examples
        --------
        >>> effect = load_result("runs/micro").effect("p00")
        >>> effect.arm, effect.k, effect.unit
        ('targeted', 3, 'bits/token')
        >>> 0 < effect.p_value <= 1
        True
        """
        from untrain.api.effect import effect_of

        return effect_of(self._read(), prompt_id, arm, k)

    def unlearn(
        self,
        ids: Sequence[str],
        method: str = UNLEARNING,
        budget: float = 0.05,
        *,
        named: str = "A",
        seed: int | None = None,
        out: str | Path | None = None,
        **options: Any,
    ) -> UnlearnedModel:
        """Have a model of the run forget training images without training it again.

        What was done before, with everything the same, is not done again. How near a method comes
        to exact retraining, `Experiment.ladder` measures.

        Parameters
        ----------
        ids : sequence of str
            Training images of the run.
        method : str
            Of `untrain.unlearning.METHODS`, with options after a colon if there are any.
        budget : float
            Share of one training to spend, above 0 and at most 1.
        named : str
            The model that is to forget: A, another of the run by its id, or a model's folder.
        seed : int, optional
            Decides the order of the data; default: the run's.
        out : str or Path, optional
            A new folder for the model; default: one in the run folder.
        **options
            Of the method, such as ``rate=0.05``.

        Raises
        ------
        InputError
            Unknown images, method or option; none or all of the images; a budget that cannot be,
            or is too small for the method; other data than the model was fitted on.

        Examples
        --------
        >>> result = load_result("runs/micro")
        >>> some = result.catalog["image_id"][:2]
        >>> model = result.unlearn(some, "ascent_retain", budget=0.5)
        >>> model.record["method"], len(model.record["forget"])
        ('ascent_retain', 2)
        """
        from untrain.api.unlearned import UnlearnedModel
        from untrain.runs.run import open_run
        from untrain.runs.unlearned import Asked, unlearn_in_run

        place = None if out is None else Path(out)
        asked = Asked(list(ids), method, budget, options, seed, named, place)
        return UnlearnedModel(self.folder, unlearn_in_run(open_run(self.folder), asked))

    def takedown(self, request: str | Path, **options: Any) -> Takedown:
        """Answer a takedown request for the run: see `untrain.takedown`, which has the options.

        Parameters
        ----------
        request : str or Path
            Folder with the pictures that were sent.
        """
        from untrain.api.requested import takedown

        return takedown(request, self.folder, **options)

    # Words -------------------------------------------------------------------------------------

    @property
    def answer(self) -> str:
        """What the run found, in plain words with its uncertainty."""
        from untrain.report.answer import answer

        return answer(self._read())

    @property
    def doubts(self) -> list[str]:
        """Why the run cannot be trusted, as codes (`untrain.core.vocabulary.Doubt`); or nothing.

        ``generator-cannot-draw`` and ``control-failed`` withhold its verdicts.
        """
        return [str(doubt) for doubt in self._read().doubts]

    @property
    def unit(self) -> str:
        """Of the effects: bits/token, or what the run's generator is measured in."""
        return self._read().unit

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the run; the gravest first."""
        from untrain.report.notes import warnings

        return [note.text for note in warnings(self._read())]

    @property
    def summary(self) -> dict[str, Any]:
        """The content of ``results/summary.json``."""
        from untrain.core.files import read_json

        return dict(read_json(self._path("results/summary.json")))

    @property
    def report(self) -> Path:
        """The page."""
        return self._path("report.html")

    # Pictures ----------------------------------------------------------------------------------

    def images(self, prompt_id: str, model: str = "A") -> list[Image.Image]:
        """Return the pictures that a model drew for a prompt, in RGB.

        Parameters
        ----------
        prompt_id : str
        model : str
            ``A`` drew the pictures that were asked about; any other model of the run drew them
            again, each with the noise that it had in A.

        Examples
        --------
        >>> result = load_result("runs/micro")
        >>> with_them, without_them = result.with_and_without("p00")
        >>> again = result.images("p00", without_them)
        >>> [picture.size for picture in again]
        [(16, 16), (16, 16)]
        """
        drawn_by = {"A": self.folder / "queries"}
        drawn_by |= {f.name: f for f in sorted((self.folder / "generations").glob("*"))}
        check_known("prompt", prompt_id, self.prompts["prompt_id"])
        check_known("model", model, drawn_by)
        paths = (drawn_by[model] / prompt_id).glob("*.png")
        numbered = sorted(
            (path for path in paths if path.stem.isdecimal()), key=lambda path: int(path.stem)
        )
        return [_open(path) for path in numbered]

    def with_and_without(self, prompt_id: str) -> tuple[str, ...]:
        """Return a model that had the prompt's own images and one that did not, much alike else."""
        from untrain.report.model_pairs import with_and_without

        check_known("prompt", prompt_id, self.prompts["prompt_id"])
        return with_and_without(self._read(), prompt_id)

    def thumbnail(self, image_id: str) -> Image.Image:
        """Return a small picture of a training image; those that the report shows were kept."""
        folder = (self.folder / "thumbnails").resolve()
        path = (folder / f"{image_id}.png").resolve()
        if not (path.is_relative_to(folder) and path.is_file()):
            raise InputError(
                f"{self.folder} keeps no picture of the training image '{image_id}', only of those "
                "that its report shows; untrain.Experiment(config).catalog reads the data itself"
            )
        return _open(path)

    def sheet(self, prompts: int | None = None) -> Image.Image:
        """Return generated pictures on one sheet, a row a prompt: by A, with and without."""
        from untrain.report.sheet import generated_sheet

        return generated_sheet(self.folder, rows=prompts)

    # Showing -----------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the answer and the effects; in a notebook pictures, too, else every verdict."""
        from untrain.core.progress import console

        if console.is_jupyter:
            from IPython.display import display

            display(self)
            return
        from rich.console import Console

        from untrain.report.tables import terminal

        run, out = self._read(), Console(highlight=False)
        out.print(self.answer, markup=False)
        for table in terminal.run_tables(run, out.width):
            out.print(table)

    def __repr__(self) -> str:
        from untrain.runs.status import status

        found = status(self.folder)
        then = f", next: {found.next}" if found.next else ""
        return f"Result('{self.folder.as_posix()}'): {found.state}{then}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: warnings, the answer, the effects, pictures."""
        if not (self.folder / "report.html").is_file():
            return f"<p>{escape(repr(self))}</p>"
        import pandas as pd

        from untrain.report.tables import effects as tables

        rows = pd.DataFrame(
            tables.overall_rows(self.overall),
            columns=["trained without", "k", "effect", "95 %", "p", "naive", "naive 95 %"],
        )
        warnings = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        words = "Generated pictures: by A, with the images found, without them"
        picture = _data_uri(self.sheet(SHOWN))
        notes = f"<details open><summary>Before believing it</summary><ul>{warnings}</ul></details>"
        return (
            f"<p>{escape(self.answer)}</p>{notes}"
            f"{rows.to_html(index=False, border=0)}"
            f'<p><img style="max-width: 100%" alt="{words}" title="{words}" src="{picture}"></p>'
            f"<p>The whole report: <code>{escape(str(self.report))}</code></p>"
        )

    def _read(self) -> RunResults:
        from untrain.runs.results import read_results

        return read_results(self.folder)

    def _table(self, name: str) -> pd.DataFrame:
        from untrain.core.tables import TABLES

        table = TABLES[name]
        self._path(f"{table.name}{table.suffix}")
        return table.read(self.folder)

    def _path(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise InputError(
                f"{self.folder} has no {name} yet: run the experiment further; `result` itself "
                "says how far it is"
            )
        return path


def _open(path: Path) -> Image.Image:
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
