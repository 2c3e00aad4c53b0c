"""A finished run in the terminal: the answer, tables, a few pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.style import Style
from rich.table import Table
from rich.text import Text

from untrain.core.images import open_picture
from untrain.core.printing import escape
from untrain.evaluation.measurement import spoken
from untrain.report.answer import answer
from untrain.report.model_pairs import with_and_without
from untrain.report.notes import warnings
from untrain.report.ranking import first_images
from untrain.report.tables import effects as tables
from untrain.runs.pictures import picture_path
from untrain.runs.results import RunResults, read_results

COLUMNS = ("trained without", "k", "effect", "95 % interval", "p", "naive", "naive interval")
WIDE = 100  # columns of a terminal that shows whole tables; others go without the last figures
PICTURE = 17  # characters: four beside one another on 80 columns


def answer_and_table(folder: Path, width: int = WIDE) -> tuple[str, Table]:
    """Return the answer in a sentence or two, and the first table of `run_tables`."""
    run = read_results(folder)
    return answer(run), run_tables(run, width)[0]


def run_tables(run: RunResults, width: int = WIDE) -> list[Table]:
    """Return the tables of a run: its overall effects, and its verdicts.

    Of a run whose pictures were given: the training images nearest to them.
    """
    return [nearest(run)] if run.given else [overall(run, width), verdicts(run, width)]


def nearest(run: RunResults) -> Table:
    """Return the training images that rank first for each prompt, of a run without a model."""
    table = Table(title="Nearest training images", title_justify="left", box=SIMPLE_HEAD)
    for head in ("prompt", *map(str.lower, tables.PLACES)):
        table.add_column(head, overflow="fold")
    for line in tables.nearest(run):
        table.add_row(*map(escape, line))
    return table


def overall(run: RunResults, width: int = WIDE) -> Table:
    """Return the overall effects by arm, for a terminal of so many columns."""
    table = Table(
        title=f"How much worse at the pictures, in {spoken(run.unit)}",
        caption="effect: retrained models with and without the images, assigned at random; "
        "naive: against the model that drew the pictures, which makes every removal look harmful",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    shown = COLUMNS if width >= WIDE else COLUMNS[:-1]
    for column in shown:
        numeric = column in ("k", "effect", "p", "naive")
        table.add_column(column, justify="right" if numeric else "left")
    rows = tables.overall_rows(tables.overall_table(run.effects))
    for row in rows + tables.group_rows(run.groups):
        table.add_row(*row[: len(shown)])
    return table


def verdicts(run: RunResults, width: int = WIDE) -> Table:
    """Return the verdict of each prompt, the strongest effect first, controls last."""
    found = tables.prompt_table(run)
    wide = width >= WIDE
    table = Table(
        title="Each prompt without its own images",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    heads = ("effect", "95 % interval", *(("p (Holm)",) if wide else ()), "verdict")
    table.add_column("", no_wrap=True)
    table.add_column("prompt", no_wrap=True, overflow="ellipsis")
    for head in heads:
        right = head in ("effect", "p (Holm)")
        table.add_column(head, justify="right" if right else "left", no_wrap=True)
    lines = []
    for prompt, (_, effect, interval, p, _, verdict) in zip(
        found.itertuples(), tables.prompt_rows(found), strict=True
    ):
        words = f"control: {prompt.prompt}" if prompt.role == "control" else str(prompt.prompt)
        figures = (effect, interval, *((p,) if wide else ()), verdict)
        lines.append((str(prompt.prompt_id), words, figures))
    # The prompt gives way, and nothing else.
    columns = zip(("", *heads), *((i, *figures) for i, _, figures in lines), strict=True)
    taken = sum(max(map(len, column)) + 3 for column in columns)  # and what parts columns
    room = max(12, width - taken - 3)
    for prompt_id, words, figures in lines:
        cut = words if len(words) <= room else f"{words[: room - 1].rstrip()}…"
        table.add_row(escape(prompt_id), escape(cut), *figures)
    return table


def pictures(run: RunResults, prompts: int, training_images: bool = True) -> Iterator[Table]:
    """Yield, for the first prompts of the table of verdicts, the prompt and four pictures.

    What A drew, the training image that ranks first (if they are shown), and the same noise in a
    model trained with the prompt's images and in one trained without.
    """
    for prompt in list(tables.prompt_table(run).itertuples())[:prompts]:
        prompt_id = str(prompt.prompt_id)
        named = [("drawn by A", run.folder / "queries" / prompt_id / "0.png")]
        for first in first_images(run, prompt_id, 1) if training_images else ():
            named.append((f"image {first}", picture_path(run.folder / "thumbnails", first)))
        models = with_and_without(run, prompt_id)
        for model, words in zip(models, ("with", "without"), strict=False):
            path = run.folder / "generations" / model / prompt_id / "0.png"
            named.append((f"{words} ({model})", path))
        opened = [(label, open_picture(path)) for label, path in named if path.is_file()]
        if opened:
            row = picture_row(opened, PICTURE)
            row.title, row.title_justify = escape(f"{prompt_id}: {prompt.prompt}"), "left"
            yield row


def to_dict(run: RunResults) -> dict[str, Any]:
    """Return what `untrain show` says, as JSON can hold it."""
    queries, controls = tables.split_controls(run.effects, run.verdicts)
    return {
        "folder": str(run.folder),
        "name": run.meta.get("name"),
        "answer": answer(run),
        "doubts": [str(doubt) for doubt in run.doubts],
        "withheld": run.withheld,
        "unit": run.unit,
        "verdicts": tables.verdict_counts(queries),
        "control_verdicts": tables.verdict_counts(controls),
        "overall": tables.overall_table(run.effects).to_dict("records"),
        "prompts": tables.prompt_table(run).to_dict("records"),
        "warnings": [note.to_dict() for note in warnings(run)],
    }


# Pictures as text -------------------------------------------------------------------------------


def half_blocks(image: Image.Image, width: int) -> Text:
    """Return a picture as coloured half blocks, two pixels a character, ``width`` characters wide.

    Its sides keep their ratio.
    """
    lines = max(1, round(width * image.height / image.width / 2))
    small = image.convert("RGB").resize((width, 2 * lines), Image.Resampling.BOX)
    pixels = np.asarray(small)
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=_colour(above), bgcolor=_colour(below)))
        text.append("\n")
    text.rstrip()
    return text


def picture_row(pictures: Sequence[tuple[str, Image.Image]], width: int) -> Table:
    """Return pictures side by side under their labels, each ``width`` characters wide."""
    row = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for label, _ in pictures:
        row.add_column(Text(label), width=width, overflow="fold", vertical="top")
    row.add_row(*(half_blocks(image, width) for _, image in pictures))
    return row


def _colour(pixel: np.ndarray) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel)
