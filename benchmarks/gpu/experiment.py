"""The real experiment: a removal trial on all photos, as large as fits the minutes that are left.

The pace of every candidate, alone and in a stack, is measured first; the largest that has time for
`EPOCHS` passes over the photos is taken, with as many as fit. Then a run goes stage by stage, a row
each, with pictures as soon as there are any. In the trial, influence (leverage) and similarity
(fusion) each name images to remove.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from gpu.pace import WARM, pace, tokens
from gpu.pack import unpacked
from gpu.results import Item, Row, Setting
from untrain.core.files import read_json, write_json
from untrain.core.hardware import STEPS, device
from untrain.generators.dalle.presets import Preset, preset_of

PHOTOS, MODELS, TEXT = 44_072, 16, 24
EPOCHS = (4, 12)
"""Least passes worth training, and most that are."""
STORES = 3
"""What gradients of all photos cost, in passes of one model."""
AROUND = 150.0
"""Seconds, beside training: reading, the judge, search, sampling, statistics and the report."""

_COMMON: dict[str, Any] = {
    "height": 80, "width": 64, "width_ae": 96, "epochs_ae": 8, "batch_ae": 128, "text_limit": 40,
    "batch": 64,
}  # fmt: skip
CANDIDATES: dict[str, dict[str, Any]] = {
    "as the study's": {"dim": 312, "depth": 16, "heads": 12, "head_dim": 64, "lr": 1e-3},
    "half as deep": {"dim": 312, "depth": 8, "heads": 6, "head_dim": 64, "lr": 1.2e-3},
    "small": {"dim": 256, "depth": 4, "heads": 4, "head_dim": 64, "lr": 1.5e-3},
}
"""The largest first, each by the recipe `photo` at the photos' own size: 8 × 10 places of codes."""


def items(at: Setting) -> Iterator[Item]:
    """Yield the pace of candidates, the plan, the stages of the run and its pictures."""
    from untrain.experiment.pipeline import NAMES

    if at.photos is None and not at.miniature:
        raise ValueError("--photos says where the photos are (and --prompts the prompts)")
    folder, names = at.work / "runs" / "photos", list(CANDIDATES)[: 1 if at.miniature else None]
    for name in names:
        yield f"pace: {name}", partial(_paces, name, at)
    yield "pace: the autoencoder", partial(_pace_of_parts, at)
    yield "plan", partial(_plan, at)
    for stage in NAMES[: -1 if at.miniature else None]:  # the report takes seconds
        yield stage, partial(_stage, stage, at)
        if stage in ("generate", "evaluate"):
            yield f"pictures after {stage}", partial(_pictures, folder, stage, at)
    yield "found", partial(_summary, folder, at)


def _preset(name: str, at: Setting, **more: Any) -> Preset:
    if at.miniature:
        return preset_of("micro", **more)
    return preset_of("photo", **_COMMON, **CANDIDATES[name], **more)


def _paces(name: str, at: Setting) -> Row:
    """Return the pairs a second of one model, and of all of a stack as large as is used here."""
    from untrain.generators.dalle.stacked import stack_size, train_stacked
    from untrain.generators.dalle.training import train_transformer

    preset = _preset(name, at, epochs=10**6)
    whole, size = os.environ.get(STEPS), 2 if at.miniature else stack_size(preset)
    row: Row = {"stack": size}
    for steps in ("eager", "graph") if device().type == "cuda" else ("eager",):
        os.environ[STEPS] = steps
        try:
            for kind, models in (("alone", None), ("stacked", size if size > 1 else None)):
                train = train_transformer if models is None else train_stacked
                data = tokens(preset, 8 * preset.batch, TEXT, models)
                precision = "bfloat16" if device().type == "cuda" else "float32"
                work = partial(train, data, preset, 0, precision=precision)
                found = pace(lambda told, work=work: work(progress=told), at.seconds / 2,
                             4 if at.miniature else WARM)  # fmt: skip
                row[f"{kind}, {steps}"] = found["pairs/s"]
        finally:
            os.environ.pop(STEPS) if whole is None else os.environ.update({STEPS: whole})
    return row


def _pace_of_parts(at: Setting) -> Row:
    """Return the pictures a second of the autoencoder in training."""
    from untrain.generators.dalle.autoencoder import train_autoencoder

    preset = replace(_preset(next(iter(CANDIDATES)), at), epochs_ae=10**4)
    shape = 4 * preset.batch_ae, preset.height, preset.width, 3
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    precision = "bfloat16" if device().type == "cuda" else "float32"
    return pace(lambda told: train_autoencoder(pixels, preset, 0, told, precision), at.seconds / 2)


def chosen(
    paces: Mapping[str, Mapping[str, float]], steps: str, seconds: float, pairs: int, models: int
) -> tuple[str, int]:
    """Return the candidate that is trained, and its epochs.

    Parameters
    ----------
    paces : mapping
        Of each candidate, the largest first: pairs a second ``alone, <steps>`` and of all models
        together ``stacked, <steps>``, and how many a ``stack`` has.
    steps : {'eager', 'graph'}
    seconds : float
        For training and gradients, of all models together.
    pairs, models : int
        Of the catalogue, and of the trial.

    Examples
    --------
    >>> paces = {"big": {"alone, eager": 100, "stacked, eager": 200, "stack": 4},
    ...          "small": {"alone, eager": 1000, "stacked, eager": 4000, "stack": 8}}
    >>> chosen(paces, "eager", 60, pairs=1000, models=8)
    ('small', 12)
    >>> chosen(paces, "eager", 300, pairs=1000, models=8)
    ('big', 5)
    """
    fits = {}
    for name, row in paces.items():
        alone = pairs / row[f"alone, {steps}"]
        trained = -(-models // row["stack"]) * row["stack"]  # the last stack is filled up
        trial = trained * pairs / row[f"stacked, {steps}"]
        fits[name] = int((seconds - STORES * alone) / (alone + trial))
    enough = [name for name, epochs in fits.items() if epochs >= EPOCHS[0]]
    name = enough[0] if enough else max(fits, key=fits.__getitem__)
    return name, min(max(1, fits[name]), EPOCHS[1])


def _plan(at: Setting) -> Row:
    """Choose model and epochs by what was measured; write the experiment."""
    rows = at.found["experiment"]
    paces = {name: rows[f"pace: {name}"] for name in CANDIDATES if f"pace: {name}" in rows}
    paces = {name: row for name, row in paces.items() if "error" not in row}
    bits = at.found.get("tests", {}).get("test_bits", {})
    recorded = device().type == "cuda" and bits.get("passed", 0) > 0 and "error" not in bits
    steps = "graph" if recorded else "eager"  # recorded steps where their bits are right
    parts = PHOTOS * _COMMON["epochs_ae"] / rows["pace: the autoencoder"]["pairs/s"]
    seconds = at.left - (0 if at.miniature else AROUND + parts)
    name, epochs = chosen(paces, steps, seconds, PHOTOS, MODELS)
    row: Row = {"model": name, "epochs": epochs, "steps": steps, "parts, s": round(parts, 1)}
    row["training and gradients, s"] = round(seconds, 1)
    write_json(at.work / "photos.yaml", _experiment(name, epochs, at))  # JSON is YAML
    return row


def thumbnails(images: list[np.ndarray]) -> list[np.ndarray]:
    """Return colours in 12 × 12 places: for the copy test, which wants features of all photos."""
    return [cv2.resize(i, (12, 12), interpolation=cv2.INTER_AREA).ravel() / 255.0 for i in images]


COPIES = {"encoder": {"name": f"{__name__}:{thumbnails.__name__}"}}


def _experiment(name: str, epochs: int, at: Setting) -> dict[str, Any]:
    if at.miniature:
        return {
            "name": "photos",
            "data": {"format": "rendered", "families": 12, "family_size": 4, "holdout": 0.1},
            "prompts": {"families": 2, "controls": 1},
            "generator": {"preset": "micro", "settings": {"epochs": 1, "epochs_ae": 1}},
            "generations": 1,
            "retrieval": {"top": 10},
            "ranking": {"method": "leverage", "also": ["fusion"]},
            "removal": {"rankings": ["leverage", "fusion"], "arms": ["targeted", "random_uniform"],
                        "k": [2], "duplicates": "exact"},
            "design": {"kind": "randomised", "models": 4},
            "evaluation": {"draws": 100},
            "copies": COPIES,
            "workers": 1,
        }  # fmt: skip
    prompts = {"file": str(at.prompts)} if at.prompts else {"texts": PROMPTS}
    assert at.photos is not None
    return {
        "name": "photos",
        "data": {"format": "fashion", "path": str(unpacked(at.photos, at.work)),
                 "plant": {"items": 4, "copies": 12}},
        "prompts": prompts,
        "generator": {"preset": "photo", "precision": "bfloat16",
                      "settings": {**_COMMON, **CANDIDATES[name], "epochs": epochs}},
        "generations": 4,
        "retrieval": {"method": "tfidf", "top": 300},
        "ranking": {"method": "leverage", "also": ["fusion"]},
        "removal": {"rankings": ["leverage", "fusion"], "arms": ["targeted", "random_uniform"],
                    "k": [10, 100], "duplicates": "exact"},
        "design": {"kind": "randomised", "models": MODELS},
        "copies": COPIES,
    }  # fmt: skip


PROMPTS = ["red t-shirt for women", "black casual shoes for men", "blue jeans", "brown handbag"]
"""Where no file is given."""


def _stage(stage: str, at: Setting) -> Row:
    """Run the experiment up to a stage."""
    from untrain.experiment.pipeline import run_stages
    from untrain.runs.run import Run
    from untrain.settings.load import load_config

    steps = at.found["experiment"]["plan"]["steps"]
    before = os.environ.get(STEPS)
    os.environ[STEPS] = steps  # workers inherit it
    try:
        run = _RUNS.get(at.work)
        if run is None:
            run = Run(load_config(at.work / "photos.yaml", [], runs=at.work / "runs"))
            _RUNS[at.work] = run
        run_stages(run, stage)
    finally:
        os.environ.pop(STEPS) if before is None else os.environ.update({STEPS: before})
    took = read_json(run.folder / "run.json")["stages"][stage]["seconds"]
    return {"seconds": took}


_RUNS: dict[Path, Any] = {}
"""The run that is open, whose catalogue and generator are in memory."""


def _pictures(folder: Path, stage: str, at: Setting) -> Row:
    """Put the pictures on a sheet: model A's own, then those with and without the images, too."""
    from untrain.catalogs.sheet import contact_sheet
    from untrain.report.sheet import generated_sheet

    target = at.out / f"photos-{stage}.png"
    if stage == "generate":
        drawn = [Image.open(p).convert("RGB") for p in sorted(folder.glob("queries/*/[0-9]*.png"))]
        sheet = contact_sheet(drawn, columns=12, cell=80)
    else:
        sheet = generated_sheet(folder, cell=80, rows=12)
    sheet.save(target)
    return {"file": target.name, "pixels": f"{sheet.width} × {sheet.height}"}


def _summary(folder: Path, at: Setting) -> Row:
    """Keep what the run found beside the results."""
    for name in ("summary.json", "summary.md"):
        if (folder / "results" / name).exists():
            shutil.copy(folder / "results" / name, at.out / f"photos-{name}")
    return {"machine": read_json(folder / "run.json")["machine"]}
