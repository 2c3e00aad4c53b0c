"""The result of a run: what it says, what can be asked of it, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.api.result_pictures import ResultPictures
from untrain.core.notebook import line_html, notes_html
from untrain.core.printing import Printer
from untrain.core.text import html_text
from untrain.core.vocabulary import ATTRIBUTOR, UNLEARNING

if TYPE_CHECKING:
    import pandas as pd

    from untrain.api.asking import Asked, Method
    from untrain.api.attribution import Attribution
    from untrain.api.bank import Bank
    from untrain.api.given import Pictures
    from untrain.api.plots import ResultPlots
    from untrain.api.requested import Takedown
    from untrain.api.tracing import Traced
    from untrain.api.unlearned import UnlearnedModel
    from untrain.runs.leaderboard import Leaderboard

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


class Result(ResultPictures):
    """What a run found, read from its folder; what its stages have not come to is an `InputError`.

    Tables are read anew each time they are asked for, so that they are yours to change. Prompts are
    named by their ids or by their texts.

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

    # Words -------------------------------------------------------------------------------------

    @property
    def answer(self) -> str:
        """What the run found, in plain words with its uncertainty."""
        from untrain.report.answer import answer

        return answer(self._read())

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the run; the gravest first."""
        from untrain.report.notes import warnings

        return [note.text for note in warnings(self._read())]

    @property
    def report(self) -> Path:
        """The page."""
        return self._path("report.html")

    @property
    def plot(self) -> ResultPlots:
        """Figures as matplotlib axes: ``result.plot.effects()``, ``verdicts``, ``pictures``, …"""
        from untrain.api.plots import ResultPlots

        return ResultPlots(self)

    # Asking further ----------------------------------------------------------------------------

    def trace(
        self, pictures: Pictures | pd.DataFrame, prompt: str | None = None, **options: Any
    ) -> Traced:
        """Return the training images of the run that are nearest to pictures.

        Parameters
        ----------
        pictures
            As `untrain.trace` takes them.
        prompt : str, optional
            What they were drawn for.
        **options
            Of `untrain.trace`.

        Examples
        --------
        >>> result = load_result("runs/micro")
        >>> result.trace(result.images("p00")[0], "a red ball", top=3).table["rank"].tolist()
        [1, 2, 3]
        """
        from untrain.api.tracing import trace

        return trace(pictures, self.folder, prompt, **options)

    def attribute(
        self,
        pictures: Asked | None = None,
        method: Method = ATTRIBUTOR,
        **options: Any,
    ) -> Attribution:
        """Return which training images the run's model drew pictures from, as far as methods know.

        Parameters
        ----------
        pictures : optional
            As `untrain.attribute` takes queries. Left out: those that the run drew.
        method : str, Attributor, or several
        **options
            Of `untrain.attribute`, such as ``prompts``, ``top`` and ``calibration``.

        Examples
        --------
        >>> load_result("runs/micro").attribute(method="fusion", prompts="p00", top=2)
        Attribution of 1 query to 136 images by fusion (uncalibrated)
        """
        from untrain.api.asking import attribute

        return attribute(self.folder, None, pictures, method, **options)

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

    def bank(self) -> Bank:
        """Return the run's bank: models without random subsets; `Experiment.bank` trains it.

        Raises
        ------
        InputError
            The run has no bank yet.
        """
        from untrain.api.bank import Bank
        from untrain.banks.bank import read_bank

        return Bank(self.config, read_bank(self.folder))

    def leaderboard(self) -> Leaderboard:
        """Return how well each method predicts what removals do; `Bank.leaderboard` makes it.

        Raises
        ------
        InputError
            The run has no leaderboard yet.
        """
        from untrain.runs.leaderboard import read_leaderboard

        return read_leaderboard(self.folder)

    def ladder(self, **asked: Any) -> pd.DataFrame:
        """Hold methods of unlearning against exact retraining; return `fidelity`.

        Parameters
        ----------
        **asked
            As `Experiment.ladder` takes it. Without anything, the ladder that is there is read.
        """
        if not asked:
            return self.fidelity
        from untrain.banks.ladder.asked import asked_of
        from untrain.banks.ladder.ladder import climb_ladder
        from untrain.banks.ladder.results import keep_fidelity
        from untrain.report.page.rewrite import write_again
        from untrain.runs.run import open_run

        run = open_run(self.folder)
        keep_fidelity(run, climb_ladder(run, asked_of(asked)))
        write_again(run.folder)
        return self.fidelity

    # Showing -----------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the answer and the effects; in a notebook pictures, too, else every verdict."""
        from untrain.core.progress import console

        if console.is_jupyter:
            from IPython.display import display

            display(self)
            return

        from untrain.report.tables import terminal

        run, out = self._read(), Printer()
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
            return line_html(repr(self))
        import pandas as pd

        from untrain.catalogs.picture_frame import data_uri
        from untrain.report.tables import effects as tables

        rows = pd.DataFrame(
            tables.overall_rows(self.overall),
            columns=["trained without", "k", "effect", "95 %", "p", "naive", "naive 95 %"],
        )
        words = "Generated pictures: by A, with the images found, without them"
        picture = data_uri(self.sheet(SHOWN))
        return (
            f"{line_html(self.answer)}{notes_html(self.warnings)}"
            f"{rows.to_html(index=False, border=0)}"
            f'<p><img style="max-width: 100%" alt="{words}" title="{words}" src="{picture}"></p>'
            f"<p>The whole report: <code>{html_text(str(self.report))}</code></p>"
        )
