"""What an accident needs: a folder for a run, its processes, and what must be so afterwards."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import micro
from micro import Place

PATIENCE = 15.0
"""Seconds until the processes of a run that has ended must be gone."""


Accident = Callable[["Bench", "Case"], None]


@dataclass
class Case:
    """What happened in an accident.

    Attributes
    ----------
    name : str
    number : int
        How many came before it: moments that are drawn depend on it.
    said : str
        What the command printed that met it.
    faults : list of str
        What was not as it should be.
    """

    name: str
    number: int = 0
    said: str = ""
    faults: list[str] = field(default_factory=list)

    def draw(self) -> float:
        """Return a part of something, from 0 to 1, that is another one in each try."""
        return random.Random(f"{self.name} {self.number}").random()

    def expect(self, fact: object, fault: str) -> None:
        """Note a fault unless something is so."""
        if not fact:
            self.faults.append(fault)

    def ended(
        self, place: Place, code: int | None, codes: tuple[int, ...], words: str = ""
    ) -> None:
        """Check how the command ended, and forget what it printed."""
        said = " ".join(place.said.split())
        told = "untrain:" in said and words in said
        self.expect(code in codes, f"exit {code}: {said[-600:]}")
        fault = f"exit {code}, no {words!r}: {said[-600:]}; in the log: {place.log[-900:]}"
        self.expect(not code or told, fault)
        strange = ("Traceback", "should not have happened")
        self.expect(not any(each in said for each in strange), f"a traceback: {said[-900:]}")
        if code:
            self.said = said[said.rfind("untrain:") :][:300]
        (place.folder / "said.txt").unlink(missing_ok=True)


class Bench:
    """Where accidents happen: a folder, and what undisturbed runs leave.

    Attributes
    ----------
    folder : Path
    seconds : dict of str to float
        How long the stages of an undisturbed run took.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        place = self._undisturbed(folder / "first", 1, "")
        micro.import_all(place)
        place = self._undisturbed(folder / "first", 1, "")
        record = json.loads((place.run / "run.json").read_text())
        self.seconds = {name: each["seconds"] for name, each in record["stages"].items()}
        self._whole = {(1, ""): micro.contents(place.folder)}

    def place(self, workers: int = 1, settings: str = "") -> Place:
        """Return a folder for a run, with further settings as YAML."""
        self.whole(workers, settings)
        return _new_place(self.folder / "place", workers, settings)

    def whole(self, workers: int = 1, settings: str = "") -> dict[str, bytes]:
        """Return what an undisturbed run leaves."""
        if (workers, settings) not in self._whole:
            place = self._undisturbed(self.folder / "whole", workers, settings)
            self._whole[workers, settings] = micro.contents(place.folder)
        return self._whole[workers, settings]

    def finishes(
        self,
        case: Case,
        place: Place,
        workers: int = 1,
        settings: str = "",
        cache_counts: bool = True,
    ) -> None:
        """Check that the same command finishes, with the bytes of an undisturbed run.

        The cache need not have all that its run left if it does not count.
        """
        code = micro.run(place)
        case.expect(code == 0, f"then exit {code}: {place.said[-600:]}")
        if code == 0:
            found = micro.differences(place, self.whole(workers, settings))
            case.faults += [
                f"then {each}"
                for each in found
                if cache_counts or not each.startswith("missing: cache/")
            ]

    def _undisturbed(self, folder: Path, workers: int, settings: str) -> Place:
        place = _new_place(folder, workers, settings)
        if micro.run(place) != 0:
            sys.exit(f"the undisturbed run failed:\n{place.said}")
        return place


def _new_place(folder: Path, workers: int, settings: str) -> Place:
    place = micro.new_place(folder, workers)
    if settings:
        with (folder / "experiment.yaml").open("a") as file:
            file.write(f"{settings}\n")
    return place


def wait_for(place: Place, pid: int, stage: str) -> None:
    """Wait until a stage has begun, or the run has ended."""
    while stage not in place.stages() and not has_ended(pid):
        time.sleep(0.002)


def in_group(group: int) -> list[int]:
    """Return the processes of a group that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def has_ended(pid: int) -> bool:
    """Tell whether a child has ended that nobody has waited for yet."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def workers_of(pid: int) -> list[int]:
    """Return the training processes of a run once there are two, known by what they were told."""
    found: list[int] = []
    while len(found) < 2 and not has_ended(pid):
        found = []
        for each in in_group(pid):
            try:
                words = Path(f"/proc/{each}/cmdline").read_bytes()
            except OSError:
                continue
            if b"spawn_main" in words:
                found.append(each)
        time.sleep(0.005)
    return found


def nobody_left(case: Case, pid: int) -> None:
    """Check that all processes of a run end with it."""
    end = time.monotonic() + PATIENCE
    while (left := in_group(pid)) and time.monotonic() < end:
        time.sleep(0.05)
    case.expect(not left, f"{len(left)} processes left")
    if left:
        micro.kill(pid)


def models(place: Place) -> int:
    """Return how many models are trained or in training."""
    return sum(path.is_dir() for path in (place.run / "models").glob("*"))
