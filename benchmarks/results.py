"""Every page with figures: what they were made by, and whether they still say what was stored.

    python benchmarks/results.py --list            # pages, data, commands, how long they take
    python benchmarks/results.py --check           # are pages in step with the stored data?
    python benchmarks/results.py                   # write tables anew from the stored data
    python benchmarks/results.py --measure demo    # measure again, then write (see --list)
    make results                                   # write, then check

A table of a page is known by its first line. Three kinds:

- *written*: the whole table is made from stored data; it is put in its place.
- *checked*: labels and choice of rows are a person's, the numbers must be those of the stored data
  (to one in their last place: stored ones are rounded, too).
  What is out of step is named, and not touched.
- *unstored*: the figures came from runs that are not in the repository. The command that made
  them is named; nothing can be checked.

``--measure`` runs a page's commands in the folder that it is called from, with ``{zip}`` for
``--zip`` (fashion-product-images-small.zip) and ``{runs}`` for ``--runs``. Minutes are those of two
quiet cores.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from untrain.core.files import read_json, write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DATA = DOCS / "results"
MINUS = "−"
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")

Row = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """Tables that are made whole of stored data: ``make`` returns Markdown with one or several."""

    make: Callable[[], str]

    def faults(self, text: str) -> Iterator[str]:
        """Yield what of them does not stand in a page."""
        for table in tables_in(self.make()):
            found = find(text, table[0])
            if found is None:
                yield f"has no table that begins with {table[0][:60]}"
            elif found != table:
                row = next((r for r in table if r not in found), "its rows are in another order")
                yield f"is out of step, first: {row[:100]}"

    def put(self, text: str) -> str:
        """Return a page with these tables in their places."""
        for table in tables_in(self.make()):
            if (found := find(text, table[0])) is not None:
                text = text.replace("\n".join(found), "\n".join(table))
        return text


@dataclass(frozen=True)
class Checked:
    """A table whose numbers must be those of the rows of a CSV.

    Attributes
    ----------
    begins : str
        What its first line begins with.
    data : str
        A CSV in docs/results.
    cells : dict of str to function
        By heading, what a row of the data must have there.
    key : function, optional
        From a row of the data to the first cell of its row on the page, where that is given by it.
    """

    begins: str
    data: str
    cells: dict[str, Callable[[Row], str]]
    key: Callable[[Row], str] | None = None

    def faults(self, text: str) -> Iterator[str]:
        """Yield each row of the page that no row of the data is like."""
        found = find(text, self.begins)
        if found is None:
            yield f"has no table that begins with {self.begins}"
            return
        heads = cells_of(found[0])
        if lost := [head for head in self.cells if head not in heads]:
            yield f"has a table without the column {lost[0]}"
            return
        rows = pd.read_csv(DATA / self.data).to_dict("records")
        known = [self._wanted(row) for row in rows]
        for line in found[2:]:
            cells = dict(zip(heads, cells_of(line), strict=True))
            own = tuple(plain(cells[head]) for head in self.cells)
            if self.key is not None:
                own = (plain(cells[heads[0]]), *own)
            if not any(all(map(alike, own, each)) for each in known):
                yield f"says what {self.data} does not: {line[:100]}"

    def put(self, text: str) -> str:
        """Return the page as it is: labels are a person's."""
        return text

    def _wanted(self, row: Row) -> tuple[str, ...]:
        numbers = tuple(plain(cell(row)) for cell in self.cells.values())
        return numbers if self.key is None else (plain(self.key(row)), *numbers)


@dataclass(frozen=True)
class Page:
    """A page, or a part of one.

    Attributes
    ----------
    name : str
    page : str
        From the root of the repository.
    minutes : str
        What the commands take.
    commands : tuple of str
        That measure anew and store.
    tables : tuple of Written or Checked
        None: unstored.
    note : str
    """

    name: str
    page: str
    minutes: str
    commands: tuple[str, ...]
    tables: tuple[Written | Checked, ...] = ()
    note: str = ""

    @property
    def text(self) -> str:
        """What stands there."""
        return (ROOT / self.page).read_text(encoding="utf-8")

    @property
    def kind(self) -> str:
        """What can be done with it."""
        if not self.tables:
            return "unstored"
        whole = all(isinstance(table, Written) for table in self.tables)
        return "written" if whole else "checked"


def tables_in(text: str) -> list[list[str]]:
    """Return the tables of a text in Markdown, as lines."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append(line)
        inside = line.startswith("|")
    return found


def find(text: str, begins: str) -> list[str] | None:
    """Return the table of a page whose first line begins so, as lines."""
    return next((table for table in tables_in(text) if table[0].startswith(begins)), None)


def cells_of(line: str) -> list[str]:
    """Return the cells of a row.

    Examples
    --------
    >>> cells_of("| a | 1.0 |")
    ['a', '1.0']
    """
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def plain(cell: str) -> str:
    """Return a cell without marks of emphasis and code, and with a minus of one kind."""
    return cell.replace("*", "").replace("`", "").replace(MINUS, "-").strip()


def alike(first: str, second: str) -> bool:
    """Tell whether two cells are one, if their last digits were rounded twice.

    Examples
    --------
    >>> alike("98.7 %", "98.8 %"), alike("98.7 %", "98.9 %"), alike("3 (2 to 4)", "3 (2 to 4)")
    (True, False, True)
    """
    if first == second:
        return True
    one, other = (NUMBER.split(cell) for cell in (first, second))
    numbers, others = (NUMBER.findall(cell) for cell in (first, second))
    if one != other or len(numbers) != len(others):
        return False
    steps = [10.0 ** -len(number.partition(".")[2]) for number in numbers]
    pairs = zip(numbers, others, steps, strict=True)
    return all(abs(float(a) - float(b)) < 1.01 * step for a, b, step in pairs)


# What the tables say ----------------------------------------------------------------------------


def demo() -> str:
    """Return the table of the README: effects of the demo of seed 0."""
    found = {row["arm"]: row for row in read_json(DATA / "demo.json")["effects"]}
    rows = {
        "targeted": "the 10 images found for the prompt",
        "random_uniform": "10 random images",
        "family": "the whole family (positive control)",
    }
    lines = [
        "| models trained without | worse at the picture by (bits/token) | 95 % interval | p |",
        "|---|---|---|---|",
    ]
    for arm, label in rows.items():
        row = found[arm]
        interval = f"{signed(row['low'], 2)} to {signed(row['high'], 2)}"
        lines.append(
            f"| {label} | {signed(row['effect'], 2)} | {interval} | {p_of(row['p_value'])} |"
        )
    return "\n".join(lines)


def fresh_seeds() -> str:
    """Return the table of the README: the range of effects over ten seeds."""
    table = pd.read_csv(DATA / "demo-seeds.csv")
    lines = [
        "| models trained without | effect over seeds (bits/token) | p (one-sided unless stated) |",
        "|---|---|---|",
    ]
    for arm, label, places in (
        ("targeted", "the 10 images found for a prompt", 1),
        ("random_uniform", "10 random images", 2),
        ("family", "the prompt's whole family (positive control)", 1),
    ):
        if arm == "random_uniform":
            count = int((table[f"{arm}_two_sided_p"] > 0.05).sum())
            p = f"above 0.05 (two-sided) in {count} of {len(table)}"
        else:
            highest = table[f"{arm}_p"].max()
            p = f"{p_of(highest)} in {int((table[f'{arm}_p'] <= highest).sum())} of {len(table)}"
        low, high = (signed(end, places) for end in (table[arm].min(), table[arm].max()))
        lines.append(f"| {label} | {low} to {high} | {p} |")
    return "\n".join(lines)


def seeds() -> str:
    """Return the table of the demo on ten seeds."""
    import repeat_demo

    return repeat_demo.markdown(pd.read_csv(DATA / "demo-seeds.csv"))


def ten_sets() -> str:
    """Return both tables of the study's ten prompt sets."""
    import prompt_sets

    rows = pd.read_csv(DATA / "ten-sets.csv").to_dict("records")
    known = [{k: v for k, v in row.items() if not pd.isna(v)} for row in rows]
    return prompt_sets.markdown(known)


def copies() -> str:
    """Return the page of the copy detector, from what the package ships."""
    import copies_tables
    from untrain.search.copy_detector import measured

    return copies_tables.page(measured())


def unlearning(part: str) -> str:
    """Return the curve of the methods, and their table by the kind of set, of one part."""
    import ladders

    table = pd.read_csv(DATA / f"unlearning-{part}.csv")
    table["kind"] = table["kind"].astype(object).where(table["kind"].notna(), None)
    return "\n".join([*ladders.curve(table), "", *ladders.by_kind(table, ladders.GOAL)])


def installed() -> str:
    """Return the table of what an installed base weighs."""
    import wheel

    return wheel.table(read_json(DATA / "wheel.json"))


def signed(value: float, places: int) -> str:
    """Return a number with a minus sign as people write it."""
    return f"{value:.{places}f}".replace("-", MINUS)


def p_of(value: float) -> str:
    """Return a p-value: four places where it is small, else two."""
    return f"{value:.4f}" if value < 0.001 else f"{value:.2f}"


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
        ("python {here}/wheel.py --json {data}/wheel.json",),
        (Written(installed),),
        "with --find-links for the CPU build of torch",
    ),
)


# Commands ---------------------------------------------------------------------------------------


def measure(page: Page, args: argparse.Namespace) -> None:
    """Run what measures a page anew."""
    places = {
        "here": Path(__file__).parent,
        "root": ROOT,
        "data": DATA,
        "runs": args.runs,
        "zip": args.zip or "{zip}",
    }
    if not page.commands:
        raise SystemExit(f"{page.name}: {page.note}")
    for command in page.commands:
        words = [word.format(**places) for word in shlex.split(command)]
        if "{zip}" in words:
            raise SystemExit(f"{page.name} needs --zip fashion-product-images-small.zip")
        begin = {
            "python": [sys.executable],
            "untrain": [sys.executable, "-c", "from untrain.cli import main; main()"],
        }[words[0]]
        print(f"{page.name}: {' '.join(words)}", flush=True)
        subprocess.run([*begin, *words[1:]], check=True)


def keep_demo(folder: Path) -> None:
    """Store the effects of a demo run, and print what the README and the tutorial quote."""
    from untrain.report.answer import answer
    from untrain.report.tables.effects import overall_table
    from untrain.runs.results import read_results

    found = read_results(folder)
    columns = ["arm", "k", "effect", "low", "high", "p_value"]
    table = overall_table(found.effects)
    effects = table.loc[table["effect"].notna(), columns].to_dict("records")
    meta = found.meta
    seed, versions = found.config.get("seed"), meta.get("versions", {})
    write_json(DATA / "demo.json", {"seed": seed, "versions": versions, "effects": effects})
    print(answer(found))
    call = "from untrain.cli import main; main()"
    subprocess.run([sys.executable, "-c", call, "show", str(folder), "--no-images"], check=True)
    print(demo())


def faults(page: Page) -> list[str]:
    """Return what is wrong with a page's figures."""
    text = page.text
    return [f"{page.page} {fault}" for table in page.tables for fault in table.faults(text)]


def listing(pages: list[Page]) -> str:
    """Return what `--list` prints."""
    lines = []
    for page in pages:
        lines.append(f"{page.name}: {page.page} ({page.kind}; {page.minutes} min)")
        lines += [f"    {command}" for command in page.commands]
        lines += [f"    {page.note}"] if page.note else []
    return "\n".join(lines)


def main() -> None:
    """List, check, measure or write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [page.name for page in PAGES]
    parser.add_argument("--list", action="store_true", help="print what there is, and do nothing")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", default=names)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a page is out of step")
    parser.add_argument("--measure", nargs="+", choices=names, metavar="NAME", default=[])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--zip", type=Path, help="fashion-product-images-small.zip")
    parser.add_argument("--keep-demo", type=Path, metavar="RUN", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.keep_demo:
        keep_demo(args.keep_demo)
        return
    pages = [page for page in PAGES if page.name in args.only]
    if args.list:
        print(listing(pages))
        return
    for page in PAGES:
        if page.name in args.measure:
            measure(page, args)
    if not args.check:
        for page in pages:
            text = page.text if page.tables else ""
            for table in page.tables:
                text = table.put(text)
            if page.tables and text != page.text:
                write_text(ROOT / page.page, text)
                print(f"{page.page}: written anew")
    wrong = [fault for page in pages for fault in faults(page)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    unstored = [page.name for page in pages if not page.tables]
    stored = len(pages) - len(unstored)
    print(f"{stored} pages or parts with stored data; faults: {len(wrong)}")
    if unstored:
        print(f"not stored, so not checked: {', '.join(unstored)} (--list has their commands)")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
