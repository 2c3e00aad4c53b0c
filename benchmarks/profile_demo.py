"""Where the demo's seconds go: by stage, and within a stage by what the processors were doing.

    python benchmarks/profile_demo.py
    python benchmarks/profile_demo.py --preset micro --stacks /tmp/stacks.json

Runs `untrain demo` with an empty cache. Every process of it notes its Python stack after each five
milliseconds of processor time (`ITIMER_PROF`), and adds to it the processor time since the last
note, that of all its threads and of C code included. Idle is what the cores could have given beside
that: wall seconds × cores − processor seconds. Other work on the machine lengthens wall seconds and
idle time; processor seconds hardly.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import json
import os
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

EVERY = 0.005  # seconds of processor time between two notes
FOLDER = "UNTRAIN_PROFILE"  # environment variable: where processes leave what they noted
START_UP = "start-up"

PARTS = (  # the innermost frame that matches decides: (part, what its path contains, functions)
    ("imports", "<frozen importlib._bootstrap>", ()),
    ("autoencoder: pictures ↔ codes", "dalle/autoencoder.py", ("encode", "decode")),
    ("tokenizer", "dalle/tokenizer.py", ()),
    ("training: backward", "torch/autograd/graph.py", ()),
    ("training: optimiser", "torch/optim/optimizer.py", ()),
    ("training: optimiser", "torch/optim/adamw.py", ()),
    ("training: clipping", "torch/nn/utils/clip_grad.py", ()),
    ("training: averaging", "generators/paired.py", ("update", "apply")),
    ("training: forward and loss", "dalle/training.py", ("pair_losses",)),
    ("training: the loop", "generators/paired.py", ()),
    ("training: the loop", "dalle/training.py", ()),
    ("drawing pictures", "dalle/transformer.py", ("sample",)),
    ("noise of pictures", "generators/noise.py", ()),
    ("likelihoods", "dalle/transformer.py", ("log_likelihood",)),
    ("rendering the catalogue", "catalogs/rendered/", ()),
    ("encoder", "untrain/encoders/", ()),
    ("comparing", "search/compare/", ()),
    ("copy test", "search/copies.py", ()),
    ("copy test", "search/near_copies.py", ()),
    ("retrieval", "search/retrieve/", ()),
    ("quality gate", "evaluation/quality.py", ()),
    ("statistics", "untrain/evaluation/", ()),
    ("figures", "report/figures/", ()),
    ("tables and page", "untrain/report/", ()),
    ("files", "core/files.py", ()),
    ("files", "runs/", ()),
)


class Notes:
    """Processor seconds of this process by stage and stack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: Counter[tuple[str, ...]] = Counter()
        self.stage, self.looked, self.before = START_UP, 0.0, 0.0
        self.noting = False

    def begin(self) -> None:
        """Note from now on, and write what was noted when the process ends."""
        signal.signal(signal.SIGPROF, self._note)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
        atexit.register(self._write)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noting:  # the clock went off in here
            return
        self.noting, now = True, time.process_time()
        if time.monotonic() > self.looked + 0.2:
            self.looked, self.stage = time.monotonic(), self._at_work()
        stack = []
        while frame is not None:
            stack.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
            frame = frame.f_back
        self.found[(self.stage, *stack)] += now - self.before
        self.before, self.noting = now, False

    def _at_work(self) -> str:
        try:
            return (self.folder / "stage").read_text() or self.stage
        except OSError:
            return START_UP

    def _write(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.found[(self.stage, "the rest")] += time.process_time() - self.before
        rows = [[*key, seconds] for key, seconds in self.found.items()]
        with contextlib.suppress(FileNotFoundError):  # of a helper that outlived the demo
            (self.folder / f"{os.getpid()}.json").write_text(json.dumps(rows))


def part_of(stack: list[str]) -> str:
    """Return what a process was doing, by its innermost frame that is known."""
    if any("dalle/autoencoder.py:train_autoencoder" in frame for frame in stack):
        return "autoencoder: training"
    for frame in stack:
        path, _, function = frame.rpartition(":")
        for part, where, functions in PARTS:
            if where in path and (not functions or function in functions):
                return part
    return "other"


def timed(name: str, work: Callable[[Any], None], folder: Path, walls: dict) -> Callable:
    """Return the work of a stage, which then notes its name and wall seconds."""

    def timed_work(run: Any) -> None:
        (folder / "stage").write_text(name)
        start = time.perf_counter()
        work(run)
        walls[name] = time.perf_counter() - start

    return timed_work


def run_demo(arguments: list[str], folder: Path) -> dict[str, float]:
    """Run the demo in this process and those it starts; return the wall seconds of its stages."""
    from dataclasses import replace

    from untrain.cli import app
    from untrain.experiment import pipeline

    walls: dict[str, float] = {}
    pipeline.STAGES = tuple(
        replace(stage, work=timed(stage.name, stage.work, folder, walls))
        for stage in pipeline.STAGES
    )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    code = app(["demo", *arguments], standalone_mode=False)
    if code:
        raise SystemExit(code)
    return walls


def print_tables(folder: Path, walls: dict[str, float], least: float) -> None:
    """Print a table of the stages and one of their parts, from ``least`` seconds on."""
    from untrain.core.threads import cores

    spent: dict[str, Counter[str]] = defaultdict(Counter)
    for path in folder.glob("*.json"):
        for stage, *stack, seconds in json.loads(path.read_text()):
            spent[stage][part_of(stack)] += seconds
    whole = sum(sum(parts.values()) for parts in spent.values())
    print("| stage | wall, s | processor, s | share | idle, core s |\n|---|--:|--:|--:|--:|")
    for stage in walls:
        used = sum(spent[stage].values())
        idle = walls[stage] * cores() - used
        print(f"| {stage} | {walls[stage]:.1f} | {used:.1f} | {used / whole:.1%} | {idle:.1f} |")
    idle = sum(walls.values()) * cores() - whole
    print(f"| all | {sum(walls.values()):.1f} | {whole:.1f} | 100 % | {idle:.1f} |\n")
    print("| stage | part | processor, s | share |\n|---|---|--:|--:|")
    for stage in walls:
        for part, seconds in spent[stage].most_common():
            if seconds >= least:
                print(f"| {stage} | {part} | {seconds:.1f} | {seconds / whole:.1%} |")


def main() -> None:
    """Run the demo and print the tables."""
    begun = time.perf_counter()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="demo", help="demo or micro")
    parser.add_argument("--runs", type=Path, help="where the run stays; default: nowhere")
    parser.add_argument("--least", type=float, default=0.3, help="seconds of a part to be shown")
    parser.add_argument("--stacks", type=Path, help="file for everything that was noted")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="untrain-profile-") as name:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(
            f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "import os, pathlib, profile_demo\n"
            f"profile_demo.Notes(pathlib.Path(os.environ['{FOLDER}'])).begin()\n"
        )
        old = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [name, old]))
        os.environ[FOLDER] = name
        os.environ["UNTRAIN_CACHE"] = str(folder / "cache")
        notes = Notes(folder)
        notes.begin()
        sets = [word for each in args.set for word in ("--set", each)]
        runs = ["--runs", str(args.runs or folder / "runs")]
        walls = run_demo(["--preset", args.preset, *runs, *sets], folder)
        whole = time.perf_counter() - begun
        walls = {START_UP: whole - sum(walls.values()), **walls}
        notes._write()
        print_tables(folder, walls, args.least)
        if args.stacks:
            found = {p.stem: json.loads(p.read_text()) for p in folder.glob("*.json")}
            args.stacks.write_text(json.dumps(found))
        atexit.unregister(notes._write)


if __name__ == "__main__":
    main()
