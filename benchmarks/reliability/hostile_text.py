"""Hostile text in every place that untrain takes text from, and every command's answer searched.

A catalogue, an experiment, a finished run, pictures to ask with and a letter carry texts that a
terminal, a spreadsheet, TeX, Markdown, HTML, XML or a file system would act on: in ids, captions,
attributes, prompts, names of files and what a letter says. Every command runs on them; what it
prints and every file that it writes is searched for text that got through.

    python benchmarks/reliability/hostile_text.py
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from hostile_samples import TEXTS, write_asked, write_bytes, write_catalogue, write_experiment
from hostile_searches import Found, search_file, search_printed
from storing import store

SETUP = (
    ("data", "inspect", "data/captions.json", "--sheet", "out/inspect.png"),
    ("plan", "experiment.yaml"),
    ("run", "experiment.yaml"),
)
READS = (
    ("data", "inspect", "data/captions.json", "--json"),
    ("data", "show", "data/captions.json", "--rows", "40"),
    ("data", "show", "data/captions.json", "--rows", "40", "--json"),
    ("data", "show", "data/captions.json", "-o", "where.shade=nothing"),
    ("data", "show", "data/captions.json", "-o", f"caption={TEXTS['colour']}"),
    ("data", "excluded", "data/captions.json", "--list", "ids.txt", "--out", "out/excluded.txt"),
    (
        "data",
        "summary",
        "data/captions.json",
        "--out",
        "out/summary.md",
        "--out",
        "out/summary.json",
    ),
    ("data", "summary", "data/captions.json"),
    (
        "data",
        "duplicates",
        "data/captions.json",
        "--csv",
        "out/copies.csv",
        "--sheet",
        "out/copies.png",
    ),
    ("data", "duplicates", "data/captions.json", "--json"),
    *(
        ("data", "export", "data/captions.json", f"out/{to}", "--to", to)
        for to in ("csv", "coco", "imagefolder", "parquet", "webdataset", "folder")
    ),
    ("data", "inspect", "out/csv/table.csv"),
    ("data", "inspect", "data/captions_lone.json"),
    ("data", "show", "data/captions_lone.json"),
    ("data", "export", "data/captions_lone.json", "out/lone", "--to", "csv"),
    ("data", "inspect", "wrong.parquet"),
    ("data", "show", "wrong.parquet"),
    ("data", "inspect", "wrong.csv"),
    ("data", "inspect", "named"),
    ("data", "inspect", "named", "--json"),
    ("data", "export", "named", "out/named", "--to", "csv"),
    ("data", "inspect", f"no{TEXTS['colour']}where"),
    ("data", "inspect", os.fsdecode(b"no\xffwhere")),
    ("data", "inspect", f"data/captions.json{TEXTS['override']}", "--format", TEXTS["title"]),
    ("index", "data/captions.json", "--out", "out/index"),
    ("search", "asked", "--index", "out/index"),
    ("trace", "letter", "--catalog", "data/captions.json"),
    *(
        ("trace", "asked", "--catalog", "data/captions.json", "--out", f"out/trace{kind}")
        for kind in (".csv", ".html", ".json", ".parquet", "")
    ),
    ("trace", "asked", "--catalog", "data/captions.json", "--json"),
    (
        "trace",
        "--prompt",
        TEXTS["colour"],
        "--catalog",
        "data/captions.json",
        "--out",
        "out/words.csv",
    ),
    ("trace", "--prompt", TEXTS["tags"], "--catalog", "data/captions.json", "--out", "out/words"),
    ("trace", "{picture}", "--run", "runs/hostile", "--out", "out/one.html"),
    ("trace", os.fsdecode(b"asked/latin-\xe9.png"), "--catalog", "data/captions.json"),
    ("guard", "asked", "--catalog", "data/captions.json"),
    ("guard", "{picture}", "--run", "runs/hostile", "--json"),
    ("status",),
    ("status", "runs/hostile"),
    ("status", "runs/hostile", "--json"),
    ("status", "--runs", TEXTS["colour"]),
    ("show", "runs/hostile"),
    ("show", "runs/hostile", "--json"),
    ("show", TEXTS["colour"]),
    ("show", os.fsdecode(b"runs/\xff")),
    ("report", "runs/hostile"),
    ("report", "runs/hostile", "--no-training-images"),
    ("sheet", "runs/hostile", "out/sheet.png"),
    ("run", "experiment.yaml", "--name", "second", "--seed", "1"),
    ("compare", "runs/hostile", "runs/second", "--csv", "out/compared.csv"),
    ("plan", "runs/hostile/config.yaml"),
    ("run", "experiment.yaml", "--set", f"name={TEXTS['colour']}"),
    ("run", "experiment.yaml", "--set", f"{TEXTS['title']}=1"),
    ("run", "experiment.yaml", "--set", f"data.path={TEXTS['override']}"),
    ("run", "experiment.yaml", TEXTS["colour"]),
    ("attribute", "runs/hostile", "--prompt", "p00", "-m", "fusion", "-o", "out/scores.csv"),
    ("attribute", "runs/hostile", "--prompt", "p00", "-m", "fusion", "-o", "out/scores.html"),
    ("attribute", "runs/hostile", "--prompt", TEXTS["title"], "-m", "fusion"),
    ("export", "runs/hostile", "out/pairs"),
    ("export", "runs/hostile", "out/study", "--layout", "study"),
    ("export", "runs/hostile", "out/model.md", "--to", "model-card"),
    ("export", "runs/hostile", "out/data.md", "--to", "dataset-card"),
    ("export", "runs/hostile", "--to", "model-card"),
    ("bank", "experiment.yaml", "--models", "4"),
    ("bank", "experiment.yaml", "--by", "shade", "--models", "4"),
    ("shares", "runs/hostile", "--by", "shade"),
    ("shares", "runs/hostile", "--by", "shade", "--json"),
    ("leaderboard", "experiment.yaml"),
    ("benchmark", "export", "runs/hostile", "-o", "out/benchmark"),
    ("export", "runs/hostile", "out/dattri", "--to", "dattri", "-m", "fusion"),
    ("weights", "runs/hostile", "--out", "out/weights.json"),
    ("unlearn", "runs/hostile", "--ids", "ids.txt", "--budget", "0.2"),
    ("takedown", "letter", "--catalog", "data/captions.json"),
    ("takedown", "letter", "--run", "runs/hostile", "--measure", "none", "--remove", "none"),
    ("takedown", "letter", "--catalog", "data/captions.json", "--not-a-copy", TEXTS["title"]),
    ("verify", "takedowns/*"),
    ("init", "mine", "--data", "data/captions.json"),
    ("report", "runs/hostile"),
    ("cache",),
    ("cache", "show", "--json"),
)


def call(arguments: tuple[str, ...]) -> tuple[int, str, str]:
    """Run a command in this process; return its code and what it printed."""
    from untrain.cli import main
    from untrain.core.progress import console

    sys.argv = ["untrain", *arguments]
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogatepass", write_through=True)
        for _ in range(2)
    )
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            code = -1
            traceback.print_exc(file=err)
        finally:
            console.quiet = False
    printed = (s.buffer.getvalue().decode("utf-8", "surrogatepass") for s in (out, err))
    return code, *printed


def hunt(place: Path, commands: tuple[tuple[str, ...], ...], verbose: bool = False) -> Found:
    """Run commands in a folder that is new; return what got through."""
    found = Found()
    before = Path.cwd()
    os.chdir(place)
    try:
        write_catalogue(place)
        write_experiment(place)
        write_asked(place)
        write_bytes(place)
        (place / "out").mkdir(exist_ok=True)
        ids = [
            each["id"] for each in json.loads((place / "data/captions.json").read_text())["images"]
        ]
        simple = [image_id for image_id in ids if image_id.isprintable()]
        (place / "ids.txt").write_text("".join(f"{image_id}\n" for image_id in simple[:3]))
        given = {path for path in place.rglob("*") if path.is_file()}
        for arguments in commands:
            own = tuple(_filled(word, place) for word in arguments)
            code, out, err = call(own)
            found.commands += 1
            name = ascii(" ".join(own))[1:-1][:110]
            if verbose:
                print(f"[{code}] {name}", flush=True)
                with Path(place, "printed.txt").open("a", errors="surrogatepass") as file:
                    file.write(f"\n##### [{code}] {name}\n{out}\n--- stderr\n{err}\n")
            search_printed(found, name, code, out, err)
        for path in sorted(set(place.rglob("*")) - given):
            if path.is_file() and path.name != "printed.txt":
                found.files += 1
                search_file(found, path, path.relative_to(place).as_posix())
    finally:
        os.chdir(before)
    return found


def _filled(word: str, place: Path) -> str:
    if word == "{picture}":
        return str(next(place.glob("runs/*/queries/*/*.png"), "nothing.png"))
    if word.endswith("/*"):
        return str(next(place.glob(word), word))
    return word


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", action="store_true", help="keep the counts for the page")
    parser.add_argument("--keep", type=Path, help="a new folder to work in, which stays")
    parser.add_argument("--few", action="store_true", help="no run: only what reads a catalogue")
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args()
    os.environ["COLUMNS"] = "120"
    commands = SETUP + READS
    if asked.few:
        commands = tuple(each for each in READS if not any("runs/" in word for word in each))
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["UNTRAIN_CACHE"] = str(Path(temporary, "cache"))
        place = asked.keep or Path(temporary, "work")
        place.mkdir(parents=True)
        found = hunt(place.resolve(), commands, asked.verbose)
    rows = [
        ["texts", len(TEXTS)],
        ["commands", found.commands],
        ["files written", found.files],
        ["got through", len(found.faults)],
    ]
    for what, figure in rows:
        print(f"{what}: {figure}")
    for where, what, sample in found.faults:
        print(f"  {what}: {where}: {sample}")
    if asked.store:
        store("hostile-text", rows)
    sys.exit(1 if found.faults else 0)


if __name__ == "__main__":
    main()
