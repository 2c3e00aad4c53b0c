"""What a run says while it works: why, how long, and its pictures as they come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from untrain.catalogs.sheet import contact_sheet
from untrain.core import disk
from untrain.core.files import rng
from untrain.core.images import write_png
from untrain.core.manifest import note_gone
from untrain.core.printing import escape
from untrain.core.progress import console
from untrain.core.terminal import Picture, show
from untrain.experiment.expected import DEMO, PAST, Expected, expected
from untrain.report.model_pairs import with_and_without
from untrain.runs.queries import choose_queries, read_queries, read_redrawn
from untrain.runs.results import read_results
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_WHY

SEEN = 48  # pictures of the catalogue on its sheet
PROMPTS = 8  # whose pictures are shown as they come
COMPARED = 4  # prompts shown with and without their images
CELL = 96  # pixels of a picture on a sheet
SHORT = 1.0  # seconds: what is over sooner needs no estimate
FOLDER = "pictures"
CATALOGUE, DRAWN, WITH_AND_WITHOUT = "catalogue", "model-a", "with-and-without"
SHEETS = {"generate": DRAWN, "evaluate": WITH_AND_WITHOUT}
"""The sheet that is made after a stage."""
TIMED = "by a few steps timed on this machine, as busy as it is now"


def roughly(seconds: float) -> str:
    """Return an expected time: it is not known to the second, and is not said to be.

    Examples
    --------
    >>> roughly(4), roughly(17), roughly(75), roughly(290), roughly(9000)
    ('10 seconds', '20 seconds', '1 minute', '5 minutes', '2.5 hours')
    """
    if seconds < 55:
        return f"{max(1, round(seconds / 10)) * 10} seconds"
    if seconds < 100 * 60:
        minutes = max(1, round(seconds / 60))
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{seconds / 3600:.1f} hours"


@dataclass
class Telling:
    """Tells of a run, stage by stage.

    Parameters
    ----------
    run : Run
    pictures : bool
        Show pictures, and write them into ``pictures/`` of the run folder.
    times : bool
        Say how long it will take; not where the caller has said it.
    """

    run: Run
    pictures: bool = True
    times: bool = True
    _expected: dict[str, Expected] = field(default_factory=dict)

    def start(self, due: Collection[str]) -> None:
        """Show what there is to learn from, and say how long all of it will take."""
        if self.pictures and "fit" in due:
            self._catalogue()
        self._expected = expected(self.run, due) if self.times else {}
        seconds = sum(each.seconds for each in self._expected.values())
        if seconds > SHORT and {"fit", "retrain"} & self._expected.keys():
            console.print(f"      [dim]about {roughly(seconds)} in all, {self._source()}[/]")

    def before(self, stage: str) -> None:
        """Say why a stage is done and how long it will take; discard its pictures of before."""
        if stage in SHEETS:
            disk.delete_file(sheet := self._sheet(SHEETS[stage]))
            note_gone(sheet)
        words = STAGE_WHY[stage]
        if (found := self._expected.get(stage)) and found.seconds > SHORT:
            words += f"; about {roughly(found.seconds)}"
            words += f" (as in {found.run})" if found.source == PAST else ""
            words += " (as in the demo elsewhere)" if found.source == DEMO else ""
        console.print(f"      [dim]{escape(words)}[/]", soft_wrap=True)

    def after(self, stage: str) -> None:
        """Show the pictures that a stage has made, unless their sheet is there already.

        It may be missing of a stage that was done by an earlier call, which was stopped then.
        """
        if not self.pictures or stage not in SHEETS or self._sheet(SHEETS[stage]).exists():
            return
        if stage == "generate" and not self.run.given_pictures:
            self._drawn()
        elif stage == "evaluate":
            self._with_and_without()

    def _sheet(self, name: str) -> Path:
        return self.run.path(FOLDER, f"{name}.png")

    def _source(self) -> str:
        past = sorted({e.run for e in self._expected.values() if e.source == PAST})
        return f"as in {', '.join(past)}" if past else TIMED

    def _catalogue(self) -> None:
        catalog = self.run.catalog
        count = min(SEEN, len(catalog))
        rows = np.sort(rng("inspect-sheet", 0).choice(len(catalog), count, replace=False))
        ids = [catalog.ids[row] for row in rows]
        pictures = [catalog.image(i) for i in ids]
        captions = [catalog.captions[row] for row in rows]
        planted = " (planted ones among them)" if self.run.config.data.plant else ""
        words = f"{len(catalog):,} pictures to learn from{planted}, {count} of them"
        self._show(CATALOGUE, pictures, captions, 8, words)

    def _drawn(self) -> None:
        """Show the first picture of each prompt, as model A has drawn it."""
        queries = read_queries(self.run.folder)
        wanted = queries.prompt_ids[:PROMPTS]
        rows = [queries.rows(prompt_id)[0] for prompt_id in wanted]
        pictures = [queries.pictures[row] for row in rows]
        texts = [queries.texts[prompt_id] for prompt_id in wanted]
        self._show(DRAWN, pictures, texts, 4, "drawn by model A, one a prompt")
        if not console.quiet:
            for text in texts:
                console.print(f"        [dim]{escape(text)}[/]", soft_wrap=True)

    def _with_and_without(self) -> None:
        """Show pictures of A, and those from the same noise with and without their images."""
        data = read_results(self.run.folder)
        queries = read_queries(self.run.folder)
        rows: list[list[Picture]] = [[], [], []]
        for prompt_id in queries.prompt_ids:
            pair = with_and_without(data, prompt_id)
            if len(pair) == 2 and len(rows[0]) < COMPARED:
                own = choose_queries(queries, [prompt_id])
                rows[0].append(own.pictures[0])
                for row, model in zip(rows[1:], pair, strict=True):
                    row.append(read_redrawn(self.run.folder, model, own)[0])
        if rows[0]:
            across = len(rows[0])
            pictures = [picture for row in rows for picture in row]
            told = ("drawn by A", "the same noise, with its images", "without them")
            labels = [label for words in told for label in [words, *[""] * (across - 1)]]
            words = "rows: drawn by A; redrawn with the images found; redrawn without them"
            self._show(WITH_AND_WITHOUT, pictures, labels, across, words, across)

    def _show(
        self,
        name: str,
        pictures: Sequence[Picture],
        labels: Sequence[str],
        columns: int,
        words: str,
        per_row: int = 0,
    ) -> None:
        path = self._sheet(name)
        write_png(path, contact_sheet(pictures, columns, CELL, labels))
        show(pictures, words, path, per_row)
