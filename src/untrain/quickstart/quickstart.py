"""From pictures to a page within minutes: look, copies, search, a tiny trial, a plan."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from untrain.catalogs.base import Catalog
from untrain.catalogs.inspect import inspect_sheet
from untrain.core.errors import InputError, UntrainError
from untrain.core.files import read_json, write_json, write_text
from untrain.core.printing import escape
from untrain.core.progress import clock, console
from untrain.core.steps import Steps
from untrain.core.targets import check_folder_target, valid_path
from untrain.core.terminal import show
from untrain.core.text import lines
from untrain.experiment.pipeline import run_stages
from untrain.experiment.plan import plan
from untrain.experiment.telling import TIMED, Telling, roughly
from untrain.quickstart import budget, looking, trial
from untrain.quickstart.experiments import write_experiment
from untrain.quickstart.prompts import draw_prompts
from untrain.report import quickstart as words
from untrain.report.page.quickstart import quickstart_page, trial_of
from untrain.report.quickstart import NO_CAPTIONS, NO_TIME, REFUSED, RUNNING, TOO_FEW
from untrain.runs.run import Run
from untrain.settings.load import load_config
from untrain.training.worker import default_workers

RECORD, PAGE, EXPERIMENT = "record.json", "report.html", "experiment.yaml"
PROMPTS, TINY, TINY_PROMPTS = "prompts.txt", "trial.yaml", "trial-prompts.txt"
SHEET = "pictures.png"
KIND, STARTED = "untrain quickstart", "quickstart.json"
LOOKING = 0.35  # share of the time for all that is not training
REAL_MINUTES = 60.0  # of the experiment that is written to be run later
LEAST = 1.0  # minutes
SHOWN = 16  # pictures in the terminal


@dataclass
class Quickstart:
    """A first look at some data.

    Parameters
    ----------
    data : Path
        Folder, table, zip or shards.
    out : Path
        Folder for the page and the files that go with it; new, empty or one that was begun.
    minutes : float
        How long it may take.
    format : str
        Of the data; guessed if empty.
    options : mapping
        Settings as under ``data`` in an experiment file, such as ``caption``.
    seed : int
    pictures : bool
        Show pictures in the terminal.

    Raises
    ------
    InputError
        The folder is another's, the time is too short, or the data cannot be opened.
    """

    data: Path
    out: Path
    minutes: float = 5.0
    format: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    pictures: bool = True

    def __post_init__(self) -> None:
        if not (self.minutes >= LEAST and math.isfinite(self.minutes)):
            raise InputError(f"--minutes is {self.minutes}; give at least {LEAST:g}")
        self._start = time.monotonic()
        self._check_target()
        self._steps = Steps(self.out / "steps")

    def run(self) -> Path:
        """Do all of it, and return the page."""
        catalog, settings = looking.open_pictures(self.data, self.format, self.options)
        write_json(self.out / STARTED, self._about)
        self._told("open", f"{catalog.name}: {len(catalog):,} pictures can be used")
        seen = looking.as_many_as_fit(catalog, LOOKING * self._left, self.seed)
        captions = looking.has_captions(catalog)
        key = [seen.fingerprint, self.seed]
        record: dict[str, Any] = {
            "kind": KIND,
            "data": str(self.data),
            "out": str(self.out),
            "minutes": self.minutes,
            "images": len(catalog),
            "looked_at": len(seen),
            "captions": captions,
            "settings": settings,
            "skipped": looking.unusable(catalog),
        }
        record["summary"] = self._step(
            "pictures",
            "read every picture and caption",
            key,
            lambda: looking.summary(seen),
        )
        self._sheet(seen)
        record["copies"] = self._step(
            "copies",
            "the same picture twice would stay when one of them is removed",
            key,
            lambda: looking.copies(seen),
        )
        record["search"] = self._step(
            "search",
            "hide some pictures, and look whether the search finds their neighbourhood",
            key,
            lambda: looking.neighbourhoods(seen, self.seed),
        )
        record["trial"] = self._trial(catalog, settings, captions, record)
        record["next"] = self._next(catalog, settings, captions)
        record["seconds"] = max(time.monotonic() - self._start, self._before)
        write_json(self.out / RECORD, record)
        return self._page(record, catalog)

    @property
    def _left(self) -> float:
        """Seconds until the time is over."""
        return 60 * self.minutes - (time.monotonic() - self._start)

    @property
    def _before(self) -> float:
        """Seconds that it took when it was done before: doing it again takes a moment."""
        known = self.out / RECORD
        return float(read_json(known)["seconds"]) if known.is_file() else 0.0

    def _told(self, name: str, words: str) -> None:
        console.print(f"[bold]{name}[/]  {escape(words)}{self._used}", soft_wrap=True)

    @property
    def _used(self) -> str:
        return f" [dim]({clock(time.monotonic() - self._start)} of {self.minutes:g} min used)[/]"

    def _step(
        self, name: str, says: str, key: Any, work: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        return self._steps.done(name, f"{says}{self._used}", key, work)

    @property
    def _about(self) -> dict[str, Any]:
        """What tells whose folder it is."""
        return {"kind": KIND, "data": str(self.data.resolve()), "options": dict(self.options)}

    def _check_target(self) -> None:
        """Refuse a folder that was not begun for the same data."""
        started = valid_path(self.out) / STARTED
        if not started.is_file():
            check_folder_target(self.out)
        elif read_json(started) != self._about:
            raise InputError(f"{self.out} is of other data: choose another folder with --out")

    def _sheet(self, catalog: Catalog) -> None:
        path = self.out / SHEET
        inspect_sheet(catalog, path)
        if self.pictures:
            rows = range(0, len(catalog), max(1, len(catalog) // SHOWN))
            pictures = [catalog.image(catalog.ids[row]) for row in list(rows)[:SHOWN]]
            show(pictures, "some of the pictures", path)

    def _trial(
        self,
        catalog: Catalog,
        settings: Mapping[str, Any],
        captions: bool,
        record: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Run the tiny trial, or say why there is none; write the page of ``record`` before."""
        if not captions:
            return {"skipped": NO_CAPTIONS}
        if len(catalog) < trial.FEWEST:
            return {"skipped": TOO_FEW, "fewest": trial.FEWEST}
        file = self.out / TINY
        known = self._size(catalog)
        if known["size"] is None:
            return {"skipped": NO_TIME, **known}
        size = budget.Size.from_dict(known["size"])
        count = trial.prompts_for(size.images, trial.PROMPTS, len(trial.ARMS))
        texts = draw_prompts(catalog.captions, count, self.seed)
        write_text(self.out / TINY_PROMPTS, lines(texts))
        values = trial.tiny_experiment(
            settings, Path(TINY_PROMPTS), len(texts), size, len(catalog), self.seed
        )
        write_text(file, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        self._told(
            "trial",
            f"{size.models + 1} {size.preset} models on {size.images:,} of your pictures and "
            f"{trial.planted_images()} planted ones, {size.epochs} times each; about "
            f"{roughly(size.seconds)}, {TIMED}",
        )
        if not (self.out / RECORD).is_file():  # else there is a whole page already
            running = {"skipped": RUNNING, "takes": roughly(size.seconds), **known}
            waiting: dict[str, Any] = {"file": None, "plan": [], "why": ""}
            page = self._page({**record, "trial": running, "next": waiting, "seconds": 0}, catalog)
            self._told("page", f"{page}: pictures, copies and search; the trial will be added")
        try:
            run = Run(load_config(file, runs=self.out))
            run_stages(run, telling=Telling(run, self.pictures, times=False))
        except UntrainError as error:
            return {"skipped": REFUSED, "why": str(error), **known}
        return {"skipped": "", "folder": run.folder.name, **known}

    def _size(self, catalog: Catalog) -> dict[str, Any]:
        """Return the size of the trial that fits; that of before where it was begun."""
        left = self._left

        def choose() -> dict[str, Any]:
            timed = {name: budget.time_steps(catalog, name) for name in budget.QUICK}
            planted = trial.planted_images()
            size = budget.fit_into(
                left, len(catalog), timed, default_workers(), trial.QUICK_MODELS, planted
            )
            return {"size": size.to_dict() if size else None, "left": left}

        key = [catalog.fingerprint, self.seed, self.minutes]
        return self._step("size", "time a few steps of training, and see what fits", key, choose)

    def _next(
        self, catalog: Catalog, settings: Mapping[str, Any], captions: bool
    ) -> dict[str, Any]:
        """Write the experiment for a real answer, and plan it."""
        if not captions or len(catalog) < trial.FEWEST:
            return {"file": None, "plan": [], "why": ""}
        self._told("plan", "write the experiment for a real answer, and see what it takes")
        file = self.out / EXPERIMENT
        if not file.exists():
            named = re.sub(r"[^A-Za-z0-9._-]+", "-", self.data.stem).strip("-._") or "mine"
            write_experiment(file, catalog, settings, REAL_MINUTES, self.seed, name=named)
        try:
            planned = plan(load_config(file))
        except UntrainError as error:
            return {"file": file.name, "plan": [], "why": str(error)}
        lines = [list(line) for line in planned.lines()]
        return {"file": file.name, "plan": lines, "figures": planned.to_dict(), "why": ""}

    def sentences(self) -> list[str]:
        """Return what was found, in words."""
        record = read_json(self.out / RECORD)
        return [
            " ".join([*words.data_sentences(record), *words.left_out(record)]),
            " ".join(words.copy_sentences(record)),
            " ".join(words.search_sentences(record)),
            " ".join(words.trial_sentences(record, trial_of(record, self.out))),
        ]

    def commands(self) -> list[tuple[str, str]]:
        """Return what to do next: commands and what they are for."""
        return words.commands(read_json(self.out / RECORD))

    def _page(self, record: Mapping[str, Any], catalog: Catalog) -> Path:
        """Write the page of a record, and return its path."""
        page = self.out / PAGE
        write_text(page, quickstart_page(record, catalog, self.out))
        return page
