"""What a catalogue is: read, summarised, searched for copies, and the search itself tried out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from untrain.catalogs import guess_format, hold_out, inspect, load_catalog, subset
from untrain.catalogs.base import Catalog
from untrain.catalogs.formats.folder import NO_CAPTION, lacks_captions
from untrain.catalogs.reading import by_reason
from untrain.core.files import rng
from untrain.encoders.layout import LayoutEncoder
from untrain.search.copy_detector.edits import EDITS
from untrain.search.duplicates import describe, duplicate_groups
from untrain.search.retrieve.candidates import text_index
from untrain.search.trace import NONE, Trace, Tracer

SAMPLE = 24  # pictures that are timed
FEWEST = 50  # pictures that are looked at, however little time there is
PASSES = 3  # over all pictures: to inspect, to embed, to compare
HELD_OUT = 0.1  # share of the pictures that the search is tried with, none of which it has
MOST_HELD_OUT = 0.3  # of few pictures a larger share, so that there are enough of them
ASKED = 12  # of them, at most
NEAREST = 5
RANDOM = 200  # captions of other pictures, to compare with
EXAMPLES = 3  # of what was left out
GROUPS = 4  # groups of copies that are shown
TRIED_EDITS = (("reencoded", 30), ("cropped", 0.75))  # of `untrain.search.copy_detector.edits`
COPIED = 10  # pictures that are edited and looked for


def open_pictures(
    path: Path, format: str, given: Mapping[str, Any]
) -> tuple[Catalog, dict[str, Any]]:
    """Open a catalogue, in which a folder may lack captions.

    Returns
    -------
    catalog : Catalog
    data : dict
        The settings under ``data`` of an experiment that open it again.
    """
    kind = format or guess_format(path)
    data: dict[str, Any] = {"format": kind, "path": str(path.resolve()), **given}
    if kind == "folder" and "empty_caption" not in given and lacks_captions(path):
        data["empty_caption"] = NO_CAPTION
    options = {k: v for k, v in data.items() if k != "format"}
    return load_catalog(kind, **options), data


def has_captions(catalog: Catalog) -> bool:
    """Tell whether captions say anything: whether there is more than one."""
    return len(set(catalog.captions)) > 1


def seconds_of_picture(catalog: Catalog, seed: int) -> float:
    """Return how long a picture takes to decode and embed here: the median of a few."""
    encoder = LayoutEncoder()
    encoder.encode([np.zeros((8, 8, 3), np.uint8)])  # makes its tables
    count = min(SAMPLE, len(catalog))
    took = []
    for row in rng("quickstart-sample", seed).choice(len(catalog), count, replace=False):
        start = time.perf_counter()
        encoder.encode([np.asarray(catalog.image(catalog.ids[row]))])
        took.append(time.perf_counter() - start)
    return float(np.median(took))


def as_many_as_fit(catalog: Catalog, seconds: float, seed: int) -> Catalog:
    """Return the catalogue, or a random part of it that can be looked at in a time."""
    each = PASSES * seconds_of_picture(catalog, seed)
    most = max(FEWEST, int(seconds / max(each, 1e-9)))
    return catalog if len(catalog) <= most else subset(catalog, most, seed)


def unusable(catalog: Catalog) -> dict[str, Any]:
    """Return what was left out of a catalogue: by reason, ``count`` and ``examples``."""
    return {
        reason: {"count": len(names), "examples": names[:EXAMPLES]}
        for reason, names in by_reason(catalog.skipped).items()
    }


def summary(catalog: Catalog) -> dict[str, Any]:
    """Return what `untrain.catalogs.inspect` finds, without the attributes."""
    found = inspect(catalog)
    return {k: v for k, v in found.items() if k != "attributes"} | {
        "columns": [str(name) for name in catalog.attributes.columns]
    }


def copies(catalog: Catalog) -> dict[str, Any]:
    """Return the counts of exact and near copies, and a few groups with their captions."""
    found = describe(catalog, duplicate_groups(catalog))
    groups = sorted(found["groups"], key=lambda g: all(i["kind"] == "exact" for i in g["images"]))
    shown = [
        [{"id": i["image_id"], "caption": i["caption"], "kind": i["kind"]} for i in g["images"]]
        for g in groups[:GROUPS]
    ]
    counts = {k: found[k] for k in ("exact", "near", "all", "different_captions")}
    return {**counts, "shown": shown}


def neighbourhoods(catalog: Catalog, seed: int) -> dict[str, Any]:
    """Try out the search: held-out pictures, and edited copies of pictures that are there.

    Returns
    -------
    dict
        - ``searched``, ``held_out``: numbers of pictures
        - ``asked``: of each held-out picture its ``id``, ``caption`` and ``nearest``, ids and
          captions; and ``near``, ``random``: the mean similarity (TF-IDF cosine, 0 to 1) of its
          caption to those of the nearest and of random pictures; None without captions
        - ``near``, ``random``: the means over those, ``better``: how many have ``near`` above
          ``random``
        - ``edited``: of each edit ``label``, ``found`` (the original came first) and ``of``
    """
    share = min(MOST_HELD_OUT, max(HELD_OUT, ASKED / len(catalog)))
    train, held_out = hold_out(catalog, share, seed)
    random = rng("quickstart-search", seed)
    tracer = Tracer(train)
    count = min(ASKED, len(held_out))
    rows = np.sort(random.choice(len(held_out), count, replace=False))
    ids = [held_out.ids[row] for row in rows]
    pictures = {i: np.asarray(held_out.image(i)) for i in ids}
    found = tracer.trace(pictures, top=min(NEAREST, len(train)), edited=NONE)
    asked = [_asked(found, held_out, train, i, random) for i in ids]
    told = [each for each in asked if each["near"] is not None]
    return {
        "searched": len(train),
        "held_out": len(held_out),
        "asked": asked,
        "near": float(np.mean([e["near"] for e in told])) if told else None,
        "random": float(np.mean([e["random"] for e in told])) if told else None,
        "better": sum(e["near"] > e["random"] for e in told),
        "edited": _edited(tracer, train, random),
    }


def _asked(
    found: Trace, held_out: Catalog, train: Catalog, image_id: str, random: np.random.Generator
) -> dict[str, Any]:
    """Return what the search found for one held-out picture."""
    hits = found.table[found.table["query"] == image_id]
    nearest = [
        {"id": str(i), "caption": str(c)}
        for i, c in zip(hits["image_id"], hits["caption"], strict=True)
    ]
    caption = held_out.captions[held_out.index[image_id]]
    near = chance = None
    if has_captions(train):
        words = text_index(train)
        places = np.array([train.index[hit["id"]] for hit in nearest])
        others = random.choice(len(train), min(RANDOM, len(train)), replace=False)
        near = float(words.similarity([caption], places[None])[0].mean())
        chance = float(words.similarity([caption], others[None])[0].mean())
    return {"id": image_id, "caption": caption, "nearest": nearest, "near": near, "random": chance}


def _edited(tracer: Tracer, train: Catalog, random: np.random.Generator) -> list[dict[str, Any]]:
    """Edit a few pictures, look for them, and count how often the original comes first."""
    count = min(COPIED, len(train))
    ids = [train.ids[row] for row in random.choice(len(train), count, replace=False)]
    told = []
    for kind, strength in TRIED_EDITS:
        edit = next(e for e in EDITS if (e.kind, e.strength) == (kind, strength))
        pictures = {i: edit(np.asarray(train.image(i)), random) for i in ids}
        first = tracer.trace(pictures, top=1, edited=NONE).table
        same = [
            train.hashes[train.index[hit]] == train.hashes[train.index[query]]
            for query, hit in zip(first["query"], first["image_id"], strict=True)
        ]
        told.append({"kind": kind, "label": edit.label, "found": sum(same), "of": count})
    return told
