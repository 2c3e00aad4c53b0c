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
import shlex
import subprocess
import sys
from pathlib import Path

from stored_pages import PAGES, demo
from stored_tables import DATA, ROOT, Page
from untrain.core.files import write_json, write_text


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
