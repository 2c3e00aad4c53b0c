"""A small, plausible, invented run folder: three prompts, a control, five models."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image, ImageDraw

PROMPTS = {
    "p00": ("red round-neck shirt with white stripes", "shirt-red"),
    "p01": ("blue handbag | with <b>gold</b> buckle", "bag-blue"),
    "p02": ("green running shoes", "shoes-green"),
    "c00": ("yellow belt with dots", "belt-yellow"),
}
ARMS = {"targeted": 0.27, "random_uniform": 0.02, "family": 0.38}
NAIVE = {"targeted": 1.31, "random_uniform": 1.12, "family": 1.45}
COLOURS = {"p00": (190, 40, 50), "p01": (40, 80, 180), "p02": (40, 140, 70), "c00": (220, 180, 40)}
MODELS = ("B00", "B01", "B02", "B03")
CAPTION = "a shirt <script>alert(1)</script> in red"

QUALITY: dict[str, Any] = {
    "verdict": "passed",
    "passed": True,
    "n": 64,
    "article": 0.91,
    "colour": 0.88,
    "attributes": {
        "article": {
            "verdict": "passed",
            "right": 0.91,
            "answered": 0.875,
            "real_right": 0.94,
            "real_answered": 0.97,
            "ratio": 0.968,
            "low": 0.89,
            "high": 1.02,
            "pictures": 64,
            "prompts": 16,
            "judge": {
                "accuracy": 0.84,
                "low": 0.83,
                "high": 0.85,
                "classes": 62,
                "photos": 7900,
                "answered": 0.83,
                "accuracy_answered": 0.9,
                "threshold": 0.6,
                "strength": 5.0,
            },
        },
        "colour": {
            "verdict": "cannot judge",
            "right": None,
            "answered": None,
            "real_right": None,
            "real_answered": None,
            "ratio": None,
            "low": None,
            "high": None,
            "pictures": 64,
            "prompts": 16,
            "judge": {
                "accuracy": 0.41,
                "low": 0.4,
                "high": 0.42,
                "classes": 11,
                "photos": 7850,
                "answered": 0.0,
                "accuracy_answered": None,
                "threshold": None,
                "strength": 5.0,
            },
        },
    },
    "distance": {
        "frechet": 0.41,
        "frechet_floor": 0.093,
        "frechet_floor_high": 0.12,
        "kernel": 0.21,
        "kernel_floor": -0.0031,
        "kernel_floor_high": 0.011,
        "pictures": 60,
        "photos": 900,
        "axes": 30,
    },
    "encoder": "layout",
    "summary": "right article 91% (real photos 94%), colour not judged of 64 pictures",
}
"""What a quality gate may have found: abstaining on some articles, and no judge of colours."""


def picture(path: Path, colour: tuple[int, int, int], random: np.random.Generator) -> None:
    """Write a 32×32 picture of a thing."""
    image = Image.new("RGB", (32, 32), "white")
    left, top = (int(v) for v in random.integers(4, 9, 2))
    shade = tuple(int(c) for c in np.clip(np.array(colour) + random.integers(-30, 30, 3), 0, 255))
    draw = ImageDraw.Draw(image)
    draw.ellipse((left, top, left + 19, top + 19), fill=shade)
    draw.rectangle((left + 5, top + 8, left + 14, top + 11), fill="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def make_run(folder: Path) -> Path:
    """Write a finished run into ``folder``."""
    random = np.random.default_rng(0)
    (folder / "results").mkdir(parents=True)
    _write_meta(folder)
    roles = {"p": "query", "c": "control"}
    rows = [(p, text, family, roles[p[0]]) for p, (text, family) in PROMPTS.items()]
    prompts = pd.DataFrame(rows, columns=["prompt_id", "prompt", "family", "role"])
    prompts.to_csv(folder / "prompts.csv", index=False)
    ranking, captions, sets, measured = [], {}, [], []
    for p, colour in COLOURS.items():
        for name in (*map(str, range(5)), "reference"):
            picture(folder / "queries" / p / f"{name}.png", colour, random)
        for model in MODELS:
            for n in range(5):
                picture(folder / "generations" / model / p / f"{n}.png", colour, random)
        for rank in range(12):
            image_id = f"{p}-{rank:04d}"
            picture(folder / "thumbnails" / f"{image_id}.png", colour, random)
            captions[image_id] = CAPTION if rank == 0 else f"item {rank} like “{PROMPTS[p][0]}”"
            ranking.append(("fusion", p, image_id, 1.2 - 0.07 * rank, rank + 1))
            ranking.append(("pixels", p, image_id, 0.07 * rank, 12 - rank))
            if p == "c00" and rank < 8:
                sets.append((f"family/{p}/k8", "family", p, 0, 8, image_id, rank + 1, "family"))
            if p != "c00" and rank < 10:
                sets.append((f"targeted/{p}/k10", "targeted", p, 0, 10, image_id, rank + 1, "top"))
        for i, model in enumerate(MODELS):
            measured += [(model, p, n, "nll", 4 + 0.1 * i) for n in range(5)]
    held = "heldout_nll"
    measured += [(model, None, None, held, 4.5 + 0.01 * i) for i, model in enumerate(MODELS)]
    _write(folder / "ranking.parquet", ranking, "method prompt_id image_id score rank")
    _write(folder / "captions.parquet", list(captions.items()), "image_id caption")
    columns = "forget_set_id arm prompt_id draw k image_id rank reason"
    _write(folder / "forget_sets.parquet", sets, columns)
    models = [("A", 1, "aa", "models/A"), *[(m, 7, m.lower(), f"models/{m}") for m in MODELS]]
    _write(folder / "models.parquet", models, "model_id seed fingerprint path")
    removals = [("B01", f"targeted/{p}/k10") for p in PROMPTS if p != "c00"]
    removals += [("B02", "family/c00/k8")]
    _write(folder / "removals.parquet", removals, "model_id forget_set_id")
    columns = "model_id prompt_id generation measure value"
    _write(folder / "results" / "measures.parquet", measured, columns)
    _write_effects(folder, random)
    return folder


def _write(path: Path, rows: list[tuple], columns: str) -> None:
    pd.DataFrame(rows, columns=columns.split()).to_parquet(path, index=False)


def _write_meta(folder: Path) -> None:
    meta = {
        "schema_version": 1,
        "name": "invented",
        "versions": {"untrain": "0.1.0", "torch": "2.4.0"},
        "machine": {"system": "Linux", "processor": "x86_64"},
        "threads": {"model_a": 1, "paired_models": 1},
        "seeds": {"queries": 1, "effects": 7},
        "fingerprints": {"catalog": "0123456789abcdef"},
        "stages": {"fit": {"state": "done", "seconds": 612.0}, "rank": {"seconds": 3.25}},
        "warnings": [{"code": "merged", "text": "Two of the sets overlap; they were merged."}],
        "generator": {
            "name": "dalle",
            "frozen": "The autoencoder and the tokenizer are frozen and saw the removed images.",
        },
        "quality": QUALITY,
        "catalog": {"name": "rendered", "images": 2400, "heldout": 200, "skipped": 0},
    }
    (folder / "run.json").write_text(json.dumps(meta))
    (folder / "config.yaml").write_text(yaml.safe_dump({"ranking": {"method": "fusion"}}))


def _write_effects(folder: Path, random: np.random.Generator) -> None:
    rows = []
    ps = {"targeted": 0.0005, "random_uniform": 0.31, "family": 0.0004}
    for design, means in (("randomised", ARMS), ("naive", NAIVE)):
        for arm, mean in means.items():
            k = 8 if arm == "family" else 10
            low, high = mean - 0.07, mean + 0.08
            rows.append((design, arm, None, "nll", mean, low, high, ps[arm], k, 0.01))
            for prompt in PROMPTS:
                if (prompt == "c00") == (arm == "family"):
                    x = mean + random.normal(0, 0.08)
                    rows.append((design, arm, prompt, "nll", x, x - 0.2, x + 0.2, 0.04, k, 0.08))
    mse = (
        "randomised",
        "targeted",
        None,
        "regeneration_mse",
        91.5,
        20.25,
        float("nan"),
        0.01,
        10,
        0.02,
    )
    columns = "design arm prompt_id measure effect low high p_value k two_sided_p"
    _write(folder / "results" / "effects.parquet", [*rows, mse], columns)
    reasons = [
        ("p00", "attributable", "The effect is above zero at 5 % after Holm."),
        ("p01", "undecided", "The interval holds zero and reaches beyond the margin."),
        ("p02", "not attributable", "The interval lies inside ±0.1."),
        ("c00", "attributable", "The effect is above zero."),
    ]
    _write(folder / "results" / "verdicts.parquet", reasons, "prompt_id verdict reason")
    table = "Folder,Mean_1,Min_1,Max_1,Mean_2,Min_2,Max_2\n"
    for (prompt, _), (before, after) in zip(
        list(PROMPTS.values())[:3], [(0.55, 0.50), (0.53, 0.49), (0.51, 0.52)], strict=True
    ):
        name = prompt.replace(" ", "_")
        table += f"{name},{before},0.4,0.6,{after},0.4,0.6\n"
    (folder / "results" / "similarity_results.csv").write_text(
        table + ",0.53,0.4,0.6,0.50,0.4,0.6\n"
    )


def add_comparison(folder: Path) -> None:
    """Add the comparison that the ranking came from, the catalogue, and two near copies."""
    random = np.random.default_rng(1)
    ranking = pd.read_parquet(folder / "ranking.parquet")
    pairs = ranking.loc[ranking["method"] == "fusion", ["prompt_id", "image_id"]]
    metrics = ("pixel_mse", "pixel_mae", "pixel_cosine", "feature_cosine", "text_tfidf")
    rows = [
        (p, n, i, *random.uniform(0, 1, len(metrics)))
        for p, i in pairs.itertuples(index=False)
        for n in range(5)
    ]
    columns = "prompt_id generation image_id " + " ".join(metrics)
    _write(folder / "comparison.parquet", rows, columns)
    known = pd.read_parquet(folder / "captions.parquet").assign(content="ab" * 32)
    known.to_parquet(folder / "catalog.parquet", index=False)
    copies = [(p, n, f"{p}-0001", 0.1, p == "p00" and n < 2) for p in PROMPTS for n in range(5)]
    _write(folder / "copies.parquet", copies, "prompt_id generation image_id distance near_copy")


def effects(*rows: tuple) -> pd.DataFrame:
    columns = ["design", "arm", "prompt_id", "measure", "effect", "low", "high", "p_value", "k"]
    return pd.DataFrame(rows, columns=columns).astype({"k": float})


TRIAL = effects(
    ("randomised", "targeted", None, "nll", 0.267, 0.2, 0.35, 0.0005, 10),
    ("randomised", "random_uniform", None, "nll", 0.0271, -0.02, 0.08, 0.26, 10),
    ("naive", "targeted", None, "nll", 1.31, 1.2, 1.4, 0.001, 10),
    ("naive", "random_uniform", None, "nll", 1.12, 1.0, 1.2, 0.001, 10),
    ("naive", "none", None, "nll", 1.09, 1.0, 1.2, 0.001, None),
)


VOID = {"meta", "img", "br", "input", "link"}


class Page(HTMLParser):
    """Collects tags, attributes and what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack and self.stack[-1] == tag, f"</{tag}> closes <{self.stack[-1]}>"
        self.stack.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]
