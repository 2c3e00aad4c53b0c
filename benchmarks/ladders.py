"""Methods of unlearning against exact twins: the demo on three seeds, diffusion, real photos.

    python benchmarks/ladders.py demo      --runs runs        # half an hour on two quiet cores
    python benchmarks/ladders.py diffusion --runs runs        # half an hour
    python benchmarks/ladders.py shop      --runs runs        # half an hour; needs a run runs/shop
    python benchmarks/ladders.py tables    --runs runs        # no training: writes what there is

Each can be stopped and started again: what is made is kept. Each writes the tables of all parts
that are there into ``--page`` (docs/results/unlearning.md, between its marks), and beside it a CSV
of each part. ``--miniature`` tries everything with tiny models, in minutes, into another page.
A ladder needs a run only as far as its forget sets.

Options of the methods are their defaults; they were chosen on the demo of seed 100, which is not
among these seeds. ``--time`` runs the demo of the first seed to its end and says how many times as
long its ladder took, in elapsed and in processor seconds of all processes; use new ``--runs``.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import pandas as pd

from ladder_tables import GOAL, at_goal, by_kind, curve, markdown
from untrain.banks.ladder.asked import BUDGETS, Asked
from untrain.banks.ladder.ladder import climb_ladder, read_ladder
from untrain.banks.ladder.results import keep_fidelity, own_queries
from untrain.core.atomic import atomic_file
from untrain.core.errors import InputError
from untrain.core.files import read_json, write_json
from untrain.evaluation.fidelity import fidelity_table
from untrain.evaluation.measurement import BITS
from untrain.experiment.pipeline import run_stages
from untrain.report.figures.unlearning import unlearning_figure
from untrain.report.page.rewrite import write_again
from untrain.report.tables.unlearning import ATTACK_HEADS, answer, attack_rows
from untrain.runs.fidelity import ladder_result
from untrain.runs.run import Run, open_run
from untrain.settings.load import load_config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results" / "unlearning.md"
INTRO = """# Unlearning, held against exact retraining

How near each method of unlearning comes to the exact paired retraining without the forget set, by
what it costs. The tables are written by `python benchmarks/ladders.py demo` (`diffusion`, `shop`);
[how to read them](../how-to/unlearning.md). The options of the methods are their defaults, chosen
on the demo of seed 100, which is not among the seeds here.

ρ is 1 for the twin itself, 0 for doing nothing, and below 0 for a model that is further from the
twin than before. `other seed` is what the twin of another seed predicts, and `other set` an exact
retraining without the wrong images. What retained and held-out pairs should do is move as the twin
moves them: *moved* is their root mean square move over the twin's. An interval is over models and
sets; with one model it holds for that model.
"""
MINIATURE = ("generator.preset=micro", "generations=2", "removal.k=[3]")


@dataclass(frozen=True)
class Part:
    """A part of the results.

    Attributes
    ----------
    title : str
    asked : Asked
    names : tuple of str
        Run folders, in the folder of runs.
    unit : str
        Of what is measured.
    """

    title: str
    asked: Asked
    names: tuple[str, ...]
    unit: str = BITS


def parts_of(seeds: Sequence[int], asked: Asked) -> dict[str, Part]:
    """Return all parts; where a training is dear, one model and the budgets about the goal."""
    dear = replace(asked, seeds=1, budgets=tuple(b for b in asked.budgets if 0.01 <= b <= 0.1))
    return {
        "demo": Part("The demo", asked, tuple(f"ladder-demo-{seed}" for seed in seeds)),
        "diffusion": Part(
            "The demo with a diffusion model",
            replace(dear, targeted=1),
            ("ladder-diffusion",),
            "loss × 1000",
        ),
        "shop": Part("Real photos", replace(dear, targeted=2, family=1), ("shop",)),
    }


def demo_run(seed: int, runs: Path, miniature: bool, until: str = "remove") -> Run:
    """Return the demo of one seed, run as far as a ladder needs it."""
    with as_file(files("untrain.settings") / "demo.yaml") as path:
        small = (*MINIATURE, "data.families=24", "data.family_size=6", "prompts.families=4")
        settings = small if miniature else ()
        run = Run(load_config(path, settings, seed=seed, name=f"ladder-demo-{seed}", runs=runs))
    with taking(run, "demo"):
        run_stages(run, until)
    return run


@contextmanager
def taking(run: Run, what: str) -> Iterator[None]:
    """Add what the block takes to ``ladder/seconds.json``: elapsed and processor seconds."""
    wall, processor = time.perf_counter(), sum(os.times()[:4])
    yield
    took = [time.perf_counter() - wall, sum(os.times()[:4]) - processor]
    file = run.path("ladder", "seconds.json")
    known = read_json(file) if file.is_file() else {}
    before = known.get(what, [0.0, 0.0])
    write_json(file, {**known, what: [a + b for a, b in zip(before, took, strict=True)]})


def diffusion_run(runs: Path, miniature: bool) -> Run:
    """Return the demo with a diffusion model, run as far as a ladder needs it."""
    small = ("generator.preset=diffusion-micro", "generations=2", "removal.k=[3]")
    small += ("data.families=24", "data.family_size=6", "prompts.families=4")
    settings = small if miniature else ()
    file = ROOT / "examples" / "diffusion.yaml"
    run = Run(load_config(file, settings, name="ladder-diffusion", runs=runs))
    run_stages(run, "remove")
    return run


def shop_run(runs: Path, miniature: bool) -> Run:
    """Return the finished run of examples/shop.yaml; in miniature, planted rendered pictures."""
    if not miniature:
        return open_run(runs / "shop")
    small = (*MINIATURE, "data.families=24", "data.family_size=6", "prompts.families=4")
    small += ("data.plant.items=1", "data.plant.copies=5", "prompts.controls=1")
    with as_file(files("untrain.settings") / "demo.yaml") as path:
        run = Run(load_config(path, small, name="shop", runs=runs))
    run_stages(run, "remove")
    return run


def climb(run: Run, asked: Asked) -> None:
    """Make what is missing of a ladder, and keep how long that took, over all calls."""
    with taking(run, "ladder"):
        climb_ladder(run, asked)
        keep_fidelity(run, read_ladder(run.folder))
        write_again(run.folder)


def outcomes_of(part: Part, runs: Path, own: bool = False) -> pd.DataFrame | None:
    """Return the outcomes of all runs of a part that have a ladder, each with its own names.

    With ``own``, only those of pictures whose prompt a set was made for.
    """
    found = []
    for name in part.names:
        try:
            ladder = read_ladder(runs / name)
        except (InputError, FileNotFoundError):
            continue
        outcomes = own_queries(ladder) if own else ladder.outcomes
        names = {c: f"{name}/" + outcomes[c] for c in ("model_id", "set_id")}
        found.append(outcomes.assign(**names))
    return pd.concat(found, ignore_index=True) if found else None


def write_tables(
    parts: dict[str, Part], runs: Path, page: Path, timed: bool, told: bool = True
) -> None:
    """Write the tables of all parts that are there between their marks in the page, and as CSV."""
    text = page.read_text(encoding="utf-8") if page.is_file() else INTRO
    for name, part in parts.items():
        outcomes = outcomes_of(part, runs)
        if outcomes is None:
            continue
        table = fidelity_table(outcomes)
        own = outcomes_of(part, runs, own=True)
        assert own is not None
        page.parent.mkdir(parents=True, exist_ok=True)
        table.round(5).to_csv(page.with_name(f"{page.stem}-{name}.csv"), index=False)
        pairs = outcomes[["model_id", "set_id"]].drop_duplicates()
        result = ladder_result(outcomes, part.title, part.unit)
        figure = replace(unlearning_figure(result), name=f"unlearning-{name}")
        with atomic_file(page.parent / "figures" / f"{figure.name}.svg") as temporary:
            temporary.write_text(figure.svg, encoding="utf-8")
        lines = [
            " ".join(answer(result)),
            "",
            f"![{figure.title}](figures/{figure.name}.svg)",
            "",
            f"{len(pairs)} pairs of a model and a set: {outcomes['model_id'].nunique()} models, "
            f"{outcomes['set_id'].nunique()} sets.",
            "",
            "rho on forgotten images / queries, by the share of a training that may be spent:",
            "",
            *curve(table),
            "",
            f"At {GOAL:.0%} of a training, with 95 % intervals:",
            "",
            *at_goal(table, fidelity_table(own), GOAL),
        ]
        if kinds := by_kind(table, GOAL):
            lines += ["", "By the kind of set, forgotten images / queries:", "", *kinds]
        if attacks := attack_rows(result, GOAL):
            title = f"What a membership attacker still finds out at {GOAL:.0%}:"
            lines += ["", title, "", *markdown(ATTACK_HEADS, attacks)]
        if timed and (took := times(part, runs)):
            lines += ["", *took]
        text = _between_marks(text, name, part.title, lines)
        if told:
            print(f"## {part.title}\n", *lines, sep="\n")
    with atomic_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def times(part: Part, runs: Path) -> list[str]:
    """Return how many times as long as a whole demo its ladder took, where both were timed."""
    lines = []
    for name in part.names:
        known, report = runs / name / "ladder" / "seconds.json", runs / name / "report.html"
        if not (known.is_file() and report.is_file()):
            continue
        told = read_json(known)
        if "demo" in told and "ladder" in told:
            (wall, processor), (of_wall, of_processor) = told["ladder"], told["demo"]
            lines.append(
                f"`{name}`: {wall:.0f} s elapsed, {wall / of_wall:.1f} times the demo "
                f"({of_wall:.0f} s); {processor:.0f} processor seconds, "
                f"{processor / of_processor:.1f} times the demo's."
            )
    return lines


def _between_marks(text: str, name: str, title: str, lines: Sequence[str]) -> str:
    """Put lines between the marks of a part; at the end, under a heading, if it has none."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    body = "\n".join([begin, "", *lines, "", end])
    if begin not in text or end not in text:
        return f"{text.rstrip()}\n\n## {title}\n\n{body}\n"
    before, after = text.partition(begin)[0], text.partition(end)[2]
    return f"{before}{body}{after}"


def main() -> None:
    """Run a part, or continue it; then write the tables of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("demo", "diffusion", "shop", "tables"))
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the demo")
    parser.add_argument("--budgets", type=float, nargs="+", default=BUDGETS)
    parser.add_argument("--methods", nargs="+", default=[], help="default: all")
    parser.add_argument("--page", type=Path, help=f"default: {PAGE.relative_to(ROOT)}")
    parser.add_argument("--miniature", action="store_true", help="tiny models, to try it")
    parser.add_argument("--time", action="store_true", help="how long a ladder takes, in demos")
    args = parser.parse_args()
    asked = Asked(methods=tuple(args.methods), budgets=tuple(args.budgets))
    parts = parts_of(args.seeds, asked)
    page = args.page or (Path("unlearning-miniature.md") if args.miniature else PAGE)
    if args.part == "demo":
        for seed in args.seeds:
            until = "report" if args.time and seed == args.seeds[0] else "remove"
            climb(demo_run(seed, args.runs, args.miniature, until), parts["demo"].asked)
            write_tables({"demo": parts["demo"]}, args.runs, page, args.time, told=False)
    elif args.part == "diffusion":
        climb(diffusion_run(args.runs, args.miniature), parts["diffusion"].asked)
    elif args.part == "shop":
        climb(shop_run(args.runs, args.miniature), parts["shop"].asked)
    write_tables(parts, args.runs, page, args.time)


if __name__ == "__main__":
    main()
