"""What the rows of `bench_copies.py` come to: models, and rates of photos they were not fitted to.

Written into the package (``measured.json``) and into docs/results/copies.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.stats import binomtest

from untrain.core.files import write_json, write_text
from untrain.search.copy_detector.edits import EDITS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/untrain/search/copy_detector/measured.json"
DOCS = ROOT / "docs/results/copies.md"
EVIDENCE = {"copy": "colours", "copy_or_variant": "refitted"}
WRONG = {"copy": 0.004, "copy_or_variant": 0.04}  # of photos without a copy, at most
SIGNS = (1, 1, 1, 1, -1, -1, -1, 1)  # of the weights of `Overlay.evidence`
HARDEST = 2  # images of a picture that is no copy of them, in the fit
PENALTY = 1e-4
UNSURE = ("recoloured", "overlaid", "combined")  # variants of a product differ likewise

Rows = list[dict[str, Any]]
Models = dict[str, dict[str, Any]]


def read(path: Path) -> Rows:
    """Return the rows of one mode."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def half(row: dict[str, Any]) -> int:
    """Return which half of the photos a row is of: two of every four are of each."""
    return row["number"] % 4 // 2


def fit(rows: Rows) -> Models:
    """Fit both models, and take from photos without a copy how many of them may be flagged."""
    return {verdict: _fit(rows, verdict) for verdict in EVIDENCE}


def fit_halves(rows: Rows) -> tuple[Models, Models]:
    """Return, for the rows of each half, models that were fitted to the other."""
    first, second = (fit([row for row in rows if half(row) == number]) for number in (0, 1))
    return second, first


def _fit(rows: Rows, verdict: str) -> dict[str, Any]:
    """Fit a logistic regression in which agreement speaks for a copy and difference against it.

    Both sides weigh the same. Of what is no copy the two nearest of each picture take part.
    """
    name = EVIDENCE[verdict]
    left_out = UNSURE if verdict == "copy" else ()
    good = [
        row["own"][name]
        for row in rows
        if row["own"] and row["kind"] and row["kind"] not in left_out and not row["own"]["lost"]
    ]
    bad = []
    for row in rows:
        others = [other[name] for other in row["others"] if not other["lost"]]
        bad += sorted(others, key=lambda e: e[5] + e[6] / 2 - e[1])[:HARDEST]
    spread = np.array(good + bad).std(axis=0)
    x, y = np.array(good + bad) / spread, np.repeat([1, -1], [len(good), len(bad)])
    share = np.where(y > 0, 0.5 / len(good), 0.5 / len(bad))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = y * (x @ weights + bias)
        slope = -share * y / (1 + np.exp(margin))
        value = share @ np.logaddexp(0, -margin) + PENALTY * weights @ weights
        return value, np.append(x.T @ slope + 2 * PENALTY * weights, slope.sum())

    bounds = [(0, None) if sign > 0 else (None, 0) for sign in SIGNS] + [(None, None)]
    found = minimize(loss, np.zeros(len(bounds)), jac=True, bounds=bounds, method="L-BFGS-B")
    model = {"weights": (found.x[:-1] / spread).round(4).tolist(), "bias": 0.0}
    logits = np.sort([_best(row, model, name) for row in rows if not row["kind"]])[::-1]
    allowed = int(WRONG[verdict] * len(logits))
    # As much above the first that must not pass that rounding does not bring it in.
    return {**model, "bias": round(-float(logits[allowed]) - 1e-3, 4)}


def _logit(evidence: Iterable[float], model: dict[str, Any]) -> float:
    return float(model["bias"] + np.dot(list(evidence), model["weights"]))


def _best(row: dict[str, Any], model: dict[str, Any], name: str) -> float:
    return max((_logit(o[name], model) for o in row["others"] if not o["lost"]), default=-99.0)


def verdict(found: dict[str, Any] | None, models: Models) -> str:
    """Return the verdict on one match, as `untrain.search.copy_detector.detector.verdict_on`."""
    if found is None or found["lost"]:
        return "similar"
    for name, evidence in EVIDENCE.items():
        if _logit(found[evidence], models[name]) >= 0:
            return name
    return "similar"


def rates(rows: Rows, models: tuple[Models, Models]) -> dict[str, Any]:
    """Return what is said of each photo by the models of the other half, as `measured` has it."""
    plain = [
        {verdict(other, models[half(row)]) for other in row["others"]}
        for row in rows
        if not row["kind"]
    ]
    recall = []
    for edit in EDITS:
        own = [row for row in rows if (row["kind"], row["label"]) == (edit.kind, edit.label)]
        named = [verdict(row["own"], models[half(row)]) != "similar" for row in own]
        if edit.kind == "same_pixels":  # which pixels tell, not scores
            named = [row["own"] is not None for row in own]
        if own:
            numbers = _share(sum(named), len(own))
            recall.append({"kind": edit.kind, "label": edit.label, "found": sum(named), **numbers})
    wrong = sum("copy" in told for told in plain)
    variants = sum("copy_or_variant" in told and "copy" not in told for told in plain)
    seconds = [row["processor"] for row in rows] or [0.0]
    return {
        "pictures": len(rows),
        "false_positives": {"wrong": wrong, **_share(wrong, len(plain))},
        "copy_or_variant": {"wrong": variants, **_share(variants, len(plain))},
        "recall": recall,
        "processor_seconds": round(float(np.median(seconds)), 3),
    }


def _share(count: int, n: int) -> dict[str, Any]:
    """Return n, the rate and its 95 % interval (Wilson)."""
    if not n:
        return {"n": 0, "rate": None, "low": None, "high": None}
    ends = binomtest(count, n).proportion_ci(method="wilson")
    low, high = (round(float(end), 4) for end in (ends.low, ends.high))
    return {"n": n, "rate": round(count / n, 4), "low": low, "high": high}


def write(folder: Path, about: dict[str, Any]) -> None:
    """Write the package's record and the page of the documents from the rows of both modes."""
    rows = {mode: read(folder / f"{mode}.jsonl") for mode in ("thorough", "fast")}
    halves = fit_halves(rows["thorough"])
    modes = {mode: rates(own, halves) for mode, own in rows.items()}
    record = {**about, "models": fit(rows["thorough"]), "modes": modes}
    write_json(PACKAGE, record)
    write_text(DOCS, page(record))


def page(record: dict[str, Any]) -> str:
    """Return the page of the documents: what was measured, and what it does not say."""
    modes = record["modes"]
    done = " and ".join(f"{modes[m]['pictures']:,} ({m})" for m in modes)
    told = {key: [_count(modes[m][key]) for m in modes] for key in EVIDENCE_ROWS}
    lines = [
        *(INTRODUCTION.format(**record, done=done), ""),
        *("| edit | " + " | ".join(modes) + " |", "|---|---|---|"),
    ]
    recall = {m: {(r["kind"], r["label"]): r for r in modes[m]["recall"]} for m in modes}
    for edit in EDITS:
        measured = [recall[mode].get((edit.kind, edit.label), {"n": 0}) for mode in modes]
        cells = [_count(numbers, "found") for numbers in measured]
        lines.append(f"| {edit.kind.replace('_', ' ')}, {edit.label} | {' | '.join(cells)} |")
    lines += ["", "| of photos without a copy | " + " | ".join(modes) + " |", "|---|---|---|"]
    for key, label in EVIDENCE_ROWS.items():
        lines.append(f"| {label} | {' | '.join(told[key])} |")
    seconds = [f"{modes[mode]['processor_seconds']:.2f} s" for mode in modes]
    lines += [f"| processor time of a picture (median) | {' | '.join(seconds)} |", "", LIMITS]
    return "\n".join(lines) + "\n"


EVIDENCE_ROWS = {
    "false_positives": "called a copy",
    "copy_or_variant": "called a copy or variant",
}


def _count(numbers: dict[str, Any], key: str = "wrong") -> str:
    if not numbers["n"]:
        return "–"
    low, high = (f"{100 * numbers[end]:.1f}" for end in ("low", "high"))
    return f"{numbers[key]} of {numbers['n']:,} ({low}–{high} %)"


INTRODUCTION = """# How many copies are found

`untrain trace`, `untrain data duplicates --edited` and `untrain takedown` look for images that a
picture is an edited copy of. This page says how many they find, and how often they are wrong.

```text
{command}
```

{images:,} photos (`{catalog}`), seed {seed}; as many of these pictures as there was time for,
{done}. Photos were drawn at random. Edited, each has its
original in the catalogue; it counts as found if that very image is named, as a copy or as a copy
or variant. As they are, with themselves and their known duplicates out of the way, they have none.
Weights and thresholds of each half of the photos were chosen on the other half (those shipped, on
both); intervals are 95 % (Wilson)."""

LIMITS = """## What the verdicts mean

- **copy**: the edges agree everywhere the two lie on each other, and so do the colours.
- **copy or variant**: the edges agree, but colours differ in a way that one map of all colours
  explains, or a part of the picture shows something else. A recoloured copy is like that, and a
  copy with a logo on it; but so is another colour of the same lipstick, or another print on the
  same shirt, photographed the same way. Shops have many of those. Look at both pictures.
- **similar**: the nearest image that was found. No copy as far as this can tell; the table says how
  far that is.

## How it works

A picture's edges are laid on every image of the catalogue: all of it, without a border of one
colour, mirrored, slightly turned, and as a part of the image at four scales. One matrix product
says where they agree. The 60 images that agree best are aligned exactly (an affine map), compared
edge by edge and colour by colour; a logistic regression of eight numbers decides. *fast* lays down
only the whole picture, straight and mirrored, and aligns ten images.

## What this does not say

- It was measured on small photos of products on plain ground (60 × 80 pixels). Drawings, large
  photos and textures can do better or worse: measure your own with the command above.
- Pictures pasted into a larger busy one, turned by more than 15°, cut to less than a third or
  changed in shape are not looked for.
- Where dozens of images are nearly the same, an edited copy of one may be named after another. (For
  that reason ten images that agree as a whole were added to those aligned, after these figures;
  and recoloured pictures are no longer taken for blurred ones, which these figures still show.)
- A plain part of a picture, such as cloth without a pattern, fits many images: nobody can say which
  it is of.
- A photo that is in the catalogue twice without anybody's knowing counts as an error above."""
