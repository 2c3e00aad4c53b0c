"""The figures of a result for notebooks: matplotlib axes, drawn as the report draws them."""

from __future__ import annotations

import textwrap
import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np

from untrain.core.errors import InputError, did_you_mean
from untrain.core.vocabulary import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

    from untrain.api.result_pictures import ResultPictures

By = Literal["arm", "prompt"]
BY = ("arm", "prompt")
CELL = 1.1  # inches of a picture
LETTERS = 13  # in an inch
WITHHELD = "#b5aea1"  # paler than what is undecided


class ResultPlots:
    """Figures of a run; each returns its matplotlib axes, to be changed or saved.

    Examples
    --------
    >>> import untrain
    >>> axes = untrain.load_result("runs/micro").plot.effects()
    >>> axes.get_xlabel().splitlines()[0]
    'bits per image token worse without them'
    """

    def __init__(self, result: ResultPictures) -> None:
        self._result = result

    def effects(self, by: By = "arm", axes: Axes | None = None) -> Axes:
        """Draw how much worse models are at the pictures without images, with intervals.

        Parameters
        ----------
        by : {'arm', 'prompt'}
            The mean of each kind of removal, with single prompts and the naive figure beside it; or
            every prompt without its own images, coloured by its verdict.
        axes : matplotlib.axes.Axes, optional
            Where to draw; default: a figure of its own.

        Raises
        ------
        InputError
            The run has no effects yet.
        """
        from untrain.report.figures import effects as figures
        from untrain.report.figures.style import styled
        from untrain.report.tables.effects import prompt_table

        if by not in BY:
            raise InputError(f"effects by '{by}'{did_you_mean(by, BY)}; expected arm or prompt")
        run = self._result._read()
        table = prompt_table(run)
        table = table[np.isfinite(table["effect"].astype(float)) & (table["role"] != "control")]
        if by == "prompt" and table.empty:
            raise InputError("no prompt of the run has an effect of its own")
        arms = by == "arm"
        height = figures.arms_height(run) if arms else figures.prompts_height(table)
        axes = axes or _axes(height)
        with styled():
            if arms:
                figures.draw_arms(axes, run)
            else:
                figures.draw_prompts(axes, table, run.unit)
            return self._told(axes)

    def verdicts(self, axes: Axes | None = None) -> Axes:
        """Draw how many prompts, and positive controls, have which verdict.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            Where to draw; default: a figure of its own.
        """
        from matplotlib.ticker import MaxNLocator

        from untrain.report.figures.effects import VERDICT_COLOURS
        from untrain.report.figures.style import FAINT, PAPER, styled
        from untrain.report.tables.effects import split_controls, verdict_counts

        run = self._result._read()
        queries, controls = split_controls(run.effects, run.verdicts)
        bars = {"prompts": queries, "positive controls": controls}
        bars = {name: table for name, table in bars.items() if len(table)}
        if not bars:
            raise InputError("the run has no verdicts yet")
        axes = axes or _axes(1.0 + 0.5 * len(bars))
        with styled():
            seen: set[str] = set()
            for row, table in enumerate(bars.values()):
                left = 0
                for verdict, count in verdict_counts(table).items():
                    label = None if verdict in seen or not count else verdict
                    colour = VERDICT_COLOURS.get(verdict, FAINT)
                    colour = WITHHELD if verdict == Verdict.WITHHELD else colour
                    axes.barh(row, count, left=left, color=colour, label=label, height=0.6)
                    if count:
                        centre = left + count / 2
                        axes.text(centre, row, str(count), color=PAPER, ha="center", va="center")
                    seen |= {verdict} if count else set()
                    left += count
            axes.set_yticks(range(len(bars)), list(bars))
            axes.invert_yaxis()
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
            return self._told(axes)

    def pictures(self, prompt: str, most: int = 8) -> np.ndarray:
        """Draw a prompt's pictures: by A; with the same noise with the images found; without them.

        Parameters
        ----------
        prompt : str
            A prompt's id or text.
        most : int
            How many of its pictures.

        Returns
        -------
        ndarray of Axes, shape (rows, pictures)
        """
        table = self._result.pictures(prompt).head(most)
        rows = {"by A": "picture", "with them": "picture_with", "without": "picture_without"}
        rows = {words: name for words, name in rows.items() if table[name].notna().any()}
        grid = _grid(len(rows), len(table), str(table["prompt"].iloc[0]))
        for line, (words, name) in zip(grid, rows.items(), strict=True):
            line[0].set_ylabel(words)
            for axes, picture in zip(line, table[name], strict=True):
                _show(axes, picture)
        doubt = self._result._doubt()
        grid[0, 0].figure.supxlabel(_lines(doubt, grid[0, 0]), fontsize=7.5)
        return grid

    def influences(self, prompt: str, top: int = 8, method: str | None = None) -> np.ndarray:
        """Draw the training images that a ranking puts first for a prompt, in order.

        Parameters
        ----------
        prompt, top, method
            As of `untrain.Result.influences`.

        Returns
        -------
        ndarray of Axes, shape (1, images)
        """
        from untrain.runs.results import rows

        table = self._result.influences(prompt, top, method)
        if table.empty:
            raise InputError(f"no training image is ranked for the prompt '{prompt}'")
        first = table.iloc[0]
        grid = _grid(1, len(table), f"{first['prompt']}: first by {first['method']}")
        for axes, line in zip(grid[0], rows(table), strict=True):
            _show(axes, line.picture)
            removed = ", removed" if line.removed else ""
            axes.set_xlabel(f"{line.rank}{removed}\n{line.image_id}", fontsize=7)
        return grid

    def _told(self, axes: Axes) -> Axes:
        """Write below axes why the run cannot be trusted, if it cannot."""
        from matplotlib.figure import Figure

        doubt, figure = self._result._doubt(), axes.figure
        if doubt:
            if isinstance(figure, Figure) and len(figure.axes) == 1:
                # As wide as the figure, whose layout leaves room for it; an axis's label is cut.
                figure.supxlabel(_lines(doubt, axes), fontsize=8)
            else:
                axes.set_xlabel("\n".join(filter(None, [axes.get_xlabel(), _lines(doubt, axes)])))
        return axes

    def __repr__(self) -> str:
        return f"Plots of {self._result!r}: effects, verdicts, pictures, influences"


def _figure(width: float, height: float) -> Figure:
    """Return a figure, in inches, that notebooks show.

    It is made outside of the report's style: the first one chooses matplotlib's backend, which sets
    what leaving the style would set back.
    """
    from matplotlib import pyplot

    from untrain.report.figures.style import PAPER

    return pyplot.figure(figsize=(width, height), layout="constrained", facecolor=PAPER)


def _axes(height: float) -> Axes:
    from untrain.report.figures.style import WIDTH, styled

    figure = _figure(WIDTH, height)
    with styled():
        return figure.subplots()


def _grid(rows: int, columns: int, title: str) -> np.ndarray:
    from untrain.report.figures.style import styled

    figure = _figure(max(3.0, CELL * columns + 0.6), CELL * rows + 0.95)
    with styled():
        grid: np.ndarray = figure.subplots(rows, columns, squeeze=False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.suptitle(_lines(title, grid[0, 0]), fontsize=9.5)
        for axes in grid.flat:
            axes.set_xticks([])
            axes.set_yticks([])
            for side in axes.spines.values():
                side.set_visible(False)
    return grid


def _lines(text: str, axes: Axes) -> str:
    """Break text into lines as wide as a figure."""
    figure = axes.get_figure()
    assert figure is not None
    return textwrap.fill(text, max(20, int(LETTERS * figure.bbox.width / figure.dpi)))


def _show(axes: Axes, picture: Image.Image | None) -> None:
    if picture is not None:
        axes.imshow(np.asarray(picture), interpolation="nearest")
