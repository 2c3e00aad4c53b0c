"""The pages with figures: what made each, and its tables in terms of the stored data."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from stored_tables import Checked, Page, Row, Written
from written_tables import copies, demo, fresh_seeds, installed, seeds, ten_sets, unlearning


def interval(name: str, form: str = ".3f") -> Callable[[Row], str]:
    """Return what formats an estimate with its limits."""

    def cell(row: Row) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return f"{row[name]:{form}} [{low:{form}}, {high:{form}}]"

    return cell


def number(name: str, form: str) -> Callable[[Row], str]:
    """Return what formats a number; nothing or a dash where there is none is nothing."""
    return lambda row: "" if pd.isna(row[name]) else format(row[name], form)


def percent(name: str, places: int = 1) -> Callable[[Row], str]:
    """Return what formats a share."""
    return lambda row: f"{row[name]:.{places}%}".replace("%", " %")


def codes(row: Row) -> str:
    """Return how many codes are used, and how many evenly."""
    return f"{row['codes']:.0f} ({row['codes_even']:.0f})"


LEADERS = Checked(
    "| attributor | LDS | effect of top 10, bits |",
    "attribution-leaderboard.csv",
    {
        "LDS": interval("lds"),
        "effect of top 10, bits": interval("effect", "+.2f"),
        "family in top 10": lambda row: f"{row['family_precision']:.0%}",
    },
    key=lambda row: str(row["name"]),
)
SMOOTH = Checked(
    "| recipe | temperature | colour |",
    "smoothness.csv",
    {
        "temperature": number("temperature", "g"),
        "colour": percent("held_colour"),
        "family": percent("held_family"),
        "bits": number("held_bits", ".2f"),
        "distance": number("distance", ".1f"),
        "effect": number("effect", ".2f"),
        "noise": number("noise", ".2f"),
        "signal": number("signal", ".1f"),
        "LDS, family": number("lds_family", ".2f"),
        "LDS, `dtrak`": number("lds_dtrak", ".2f"),
    },
)
AUTOENCODERS = Checked(
    "| recipe | epochs | PSNR |",
    "recipes.csv",
    {
        "epochs": number("epochs_ae", ".0f"),
        "PSNR": number("psnr", ".2f"),
        "codes (evenly used)": codes,
        "distance, rebuilt": number("rebuilt_fd", ".2f"),
    },
)
TRANSFORMERS = Checked(
    "| recipe | epochs | nats |",
    "recipes.csv",
    {
        "epochs": number("epochs", ".0f"),
        "nats": number("nll", ".3f"),
        "article": percent("article"),
        "colour": percent("colour"),
        "family": percent("family"),
        "distance, drawn": number("fd", ".2f"),
    },
)
BOTH = Checked(
    "| both parts | seed | PSNR |",
    "recipes.csv",
    {
        "seed": number("seed", ".0f"),
        "PSNR": number("psnr", ".2f"),
        "distance, rebuilt": number("rebuilt_fd", ".2f"),
        "article": percent("article"),
        "colour": percent("colour"),
        "family": percent("family"),
        "distance, drawn": number("fd", ".2f"),
    },
)
SMALL = Checked(
    "| both parts | seed | epochs |",
    "recipes-small.csv",
    {
        "seed": number("seed", ".0f"),
        "PSNR": number("psnr", ".2f"),
        "codes (evenly used)": codes,
        "article": percent("article"),
        "colour": percent("colour"),
        "distance, drawn": number("fd", ".2f"),
    },
)

PAGES = (
    Page(
        "demo",
        "README.md",
        "3",
        ("untrain demo", "python {here}/results.py --keep-demo {runs}/demo"),
        (Written(demo),),
        "also the figures of docs/tutorial.md: printed by --measure, put there by hand",
    ),
    Page(
        "demo-seeds",
        "docs/results/demo-seeds.md",
        "40",
        ("python {here}/repeat_demo.py --seeds 11 20 --runs {runs} --out {data}/demo-seeds",),
        (Written(seeds),),
        "the stored ones are of an earlier recipe of the model",
    ),
    Page(
        "fresh-seeds",
        "README.md",
        "40",
        ("python {here}/repeat_demo.py --seeds 11 20 --runs {runs} --out {data}/demo-seeds",),
        (Written(fresh_seeds),),
    ),
    Page(
        "ten-sets",
        "docs/results/ten-sets.md",
        "240",
        (
            "untrain run {root}/examples/ten-sets.yaml --runs {runs}",
            "python {here}/prompt_sets.py {runs}/ten-sets --draws 20000 --out {data}/ten-sets",
        ),
        (Written(ten_sets),),
        "with the study's published tables: --published FOLDER",
    ),
    Page(
        "copies",
        "docs/results/copies.md",
        "60",
        ("python {here}/bench_copies.py --catalog {zip} --rows {runs}/copies --write",),
        (Written(copies),),
    ),
    Page(
        "unlearning-demo",
        "docs/results/unlearning.md",
        "30",
        ("python {here}/ladders.py demo --runs {runs}",),
        (Written(lambda: unlearning("demo")),),
        "the other tables of that page need the ladders themselves: ladders.py tables",
    ),
    Page(
        "unlearning-shop",
        "docs/results/unlearning.md",
        "110",
        (
            "untrain run {root}/examples/shop.yaml --runs {runs}",
            "python {here}/ladders.py shop --runs {runs}",
        ),
        (Written(lambda: unlearning("shop")),),
    ),
    Page(
        "leaderboard",
        "docs/results/attribution.md",
        "90",
        (
            "python {here}/leaderboards.py {runs}/demo-1 {runs}/demo-2 --training 25 "
            "--out {data}/attribution-leaderboard",
        ),
        (LEADERS,),
        "runs of two seeds with `untrain bank` and `untrain leaderboard`; costs are not checked",
    ),
    Page(
        "smoothness",
        "docs/results/smoothness.md",
        "90",
        ("python {here}/smoothness.py --runs {runs} --out {data}/smoothness",),
        (SMOOTH,),
        "its variants stand on the page",
    ),
    Page(
        "recipes",
        "docs/recipes.md",
        "600",
        ("python {here}/recipes.py both --rows {data}/recipes.csv --seeds 0 1",),
        (AUTOENCODERS, TRANSFORMERS, BOTH, SMALL),
        "the table of DALL-E's two presets at the end is not stored",
    ),
    Page(
        "groups",
        "docs/results/groups.md",
        "20",
        ("python {here}/group_shares.py demo --runs {runs} --out {data}",),
        note="groups-demo.csv has its shares, not the intervals over models",
    ),
    Page(
        "case",
        "docs/case.md",
        "60",
        ("python {here}/case_for_the_trial.py {runs}/seed-* --figures {data}/figures",),
        note="reads ten finished demo runs",
    ),
    Page(
        "diffusion",
        "docs/results/diffusion.md",
        "30",
        ("untrain run {root}/examples/diffusion.yaml --runs {runs}",),
    ),
    Page(
        "shop",
        "docs/results/shop.md",
        "80",
        ("untrain run {root}/examples/shop.yaml --runs {runs}",),
    ),
    Page(
        "k-sweep",
        "docs/results/k-sweep.md",
        "120",
        ("untrain run {root}/examples/k-sweep.yaml --runs {runs}",),
        note="its CSVs hold similarities, not the effects of the tables",
    ),
    Page(
        "gpu",
        "docs/results/gpu.md",
        "15 of a GPU",
        ("python {here}/gpu --out gpu",),
        note="rows as printed are in gpu-h200.json and gpu.json; the tables were put together by "
        "hand",
    ),
    Page(
        "performance",
        "docs/performance.md",
        "a minute or two each",
        (),
        note="a script beside each table (bench_*.py); timings of one machine are not stored",
    ),
    Page(
        "rankings",
        "docs/rankings.md",
        "10",
        ("python {here}/bench_rankings.py {runs}/demo",),
    ),
    Page(
        "wheel",
        "docs/how-to/install.md",
        "10",
        ("python {here}/distribution.py --json {data}/wheel.json",),
        (Written(installed),),
        "with --find-links for the CPU build of torch",
    ),
)
