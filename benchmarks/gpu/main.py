"""Everything a machine with one GPU is asked: same bits, speed, banks, a real experiment, LoRA.

    python benchmarks/gpu --out gpu-results --photos photos.zip.xz --prompts descriptions_1.txt
    python benchmarks/gpu --out /tmp/small --miniature   # on any machine: does it work?

Stages run one after another, each in a process of its own with a share of ``--minutes``; time that
one leaves is the others'. ``results.json`` and ``results.md`` are written again after every row. A
stage that fails, hangs or is ended leaves its error there, and the next begins. The same command
again, with the same ``--out``, does what is missing. No network is needed.

Nothing is downloaded there; beside the project's dependencies, ``pytest`` is needed for ``tests``,
``diffusers`` and ``peft`` for ``lora``, and for the comparison in ``speed`` DALLE-pytorch in a
folder (``--other``), which `bench_dalle_pytorch.py` says how to get. ``pack.py`` makes the photos
small enough to be sent.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from gpu.results import Item, Results, Setting, Stage, run_stage

GRACE = 8.0
"""Seconds that a stage may take longer than its time before it is killed."""


def _later(place: str):
    """Return the items of a stage whose module is imported when it begins, in its own process."""
    module, _, name = place.partition(":")

    def items(at: Setting) -> Iterator[Item]:
        return getattr(import_module(module), name)(at)

    return items


STAGES = {
    name: Stage(name, what, minutes, _later(place))
    for name, what, minutes, place in (
        ("tests", "same bits, bounds of precision, resuming", 2.0, "gpu.checks:items"),
        ("speed", "training steps beside DALLE-pytorch and the peak", 2.5, "gpu.speed:items"),
        ("stacks", "models an hour, in stacks and one by one", 0.9, "gpu.stacks:items"),
        ("experiment", "a removal trial on all photos", 5.0, "gpu.experiment:items"),
        ("lora", "LoRA on a pipeline of random weights", 0.8, "gpu.lora:items"),
        ("demo", "the demo", 2.5, "gpu.further:demo"),
        ("stores", "gradient stores of random tokens", 4.0, "gpu.further:stores"),
        ("leaderboard", "attributors on a bank of photos", 4.0, "gpu.further:leaderboard"),
    )
}
USUAL = ["tests", "speed", "stacks", "experiment", "lora"]
"""In order of their worth; the others on request."""


def run_stages(names: list[str], at: Setting, again: bool, arguments: list[str] | None) -> bool:
    """Run stages; return whether all went well.

    Parameters
    ----------
    names : list of str
    at : Setting
        ``until`` is when the last stage is to end.
    again : bool
        Do what is done already.
    arguments : list of str, optional
        Of the command: each stage gets a process that is called with them. Without them all run in
        this process, where nothing ends a stage that hangs.
    """
    for folder in (at.out, at.work):
        folder.mkdir(parents=True, exist_ok=True)
    results = Results(at.out)
    for i, name in enumerate(names):
        shares = [STAGES[each].minutes for each in names[i:]]
        limit = max(0.0, at.left) * shares[0] / sum(shares)
        if arguments is None:
            part = replace(at, until=time.monotonic() + limit, found=results.rows())
            run_stage(STAGES[name], part, results, again)
        else:
            ended = _in_a_process([*arguments, "--one", name, "--limit", str(limit)], limit)
            results.read()
            if ended:
                if name not in results.stages:
                    results.begin(STAGES[name], False)
                results.end(name, limit, ended)
    return not results.failed(names)


def _in_a_process(arguments: list[str], limit: float) -> str:
    """Run a stage; return what it was ended by, if not by itself."""
    command = [sys.executable, "-u", str(Path(__file__).parent), *arguments]
    started = subprocess.Popen(command, start_new_session=True)
    try:
        code = started.wait(limit + GRACE)
    except subprocess.TimeoutExpired:
        return f"killed after {limit + GRACE:.0f} s"
    finally:
        with suppress(ProcessLookupError):  # and what it started
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    return "" if code in (0, 1) else f"its process ended with {code}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of results and pictures")
    parser.add_argument("--work", type=Path, help="folder of what is large; default: OUT/work")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=USUAL)
    parser.add_argument("--minutes", type=float, default=9.0, help="of all stages together")
    parser.add_argument("--miniature", action="store_true", help="as little of all as works")
    parser.add_argument("--again", action="store_true", help="do what is done already")
    parser.add_argument("--photos", type=Path, help="Fashion Product Images (Small), or packed")
    parser.add_argument("--prompts", type=Path, help="a file of prompts, one a line")
    parser.add_argument("--other", type=Path, help="where DALLE-pytorch was installed to")
    parser.add_argument("--one", choices=list(STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=float, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Run stages; exit with 1 if one failed."""
    args = parser().parse_args()
    given = {name: getattr(args, name) for name in ("photos", "prompts", "other")}
    paths = {name: path.resolve() for name, path in given.items() if path is not None}
    work = (args.work or args.out / "work").resolve()
    until = time.monotonic() + 60 * args.minutes
    at = Setting(args.out.resolve(), work, until, args.miniature, **paths)
    if args.one is None:
        raise SystemExit(not run_stages(args.stages, at, args.again, sys.argv[1:]))
    results = Results(at.out)
    at = replace(at, until=time.monotonic() + args.limit, found=results.rows())
    run_stage(STAGES[args.one], at, results, args.again)
    raise SystemExit(results.failed([args.one]))
