"""The cards of the page, one a prompt: its pictures, its training images, what removal did."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from untrain.report import tables
from untrain.report.copies import copied_from
from untrain.report.folder import SAMPLER, Run, rows
from untrain.report.tables import PRIMARY, arm_label, arm_order
from untrain.report.words import bare_p, interval, number, open_ends, uncertainty

TOP = 10
LARGEST_SIDE = 176  # twice what the page shows, for fine screens
BUDGET = 11_000_000  # bytes of pictures, so that the page stays below 15 MB


class Pictures:
    """Pictures as data URIs, each read once, within a budget for the whole page."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.left = budget
        self.dropped = 0
        self._known: dict[Path, str] = {}

    def uri(self, folder: Path, name: str) -> str:
        """Return a data URI, or "" if there is no such picture below ``folder`` or no room."""
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return ""
        if path not in self._known:
            self._known[path] = _data_uri(path)
        uri = self._known[path]
        if len(uri) > self.left:
            self.dropped += 1
            return ""
        self.left -= len(uri)
        return uri


def _data_uri(path: Path) -> str:
    """Small pictures stay the PNG they are; large ones, photographs mostly, become small JPEGs."""
    data, kind = path.read_bytes(), "png"
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > LARGEST_SIDE or len(data) > 24_000:
                image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
                buffer = io.BytesIO()
                image.convert("RGB").save(buffer, "JPEG", quality=88)
                data, kind = buffer.getvalue(), "jpeg"
    except (OSError, ValueError, SyntaxError):
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def prompt_cards(run: Run, pictures: Pictures) -> list[dict[str, Any]]:
    """Return one card a prompt, the strongest effect first."""
    captions = dict(zip(run.captions["image_id"], run.captions["caption"], strict=True))
    arms = _arm_bars(run)
    cards = []
    order = {prompt_id: i for i, prompt_id in enumerate(run.prompts["prompt_id"])}
    for line in rows(tables.prompt_table(run)):
        folder = run.folder / "queries"
        cards.append(
            {
                "id": line.prompt_id,
                "prompt": line.prompt,
                "family": line.family,
                "control": line.role == "control",
                "verdict": line.verdict,
                "reason": line.reason,
                "order": order[line.prompt_id],
                "effect": line.effect if math.isfinite(line.effect) else -1e9,
                "words": _effect_words(line),
                "arms": arms.get(line.prompt_id, []),
                "drawn": _drawn(folder, line.prompt_id, pictures),
                "copied": copied_from(run, line.prompt_id),
                "reference": pictures.uri(folder, f"{line.prompt_id}/reference.png"),
                "influential": influential(run, line.prompt_id, line.family, captions, pictures),
                "again": redrawn(run, line.prompt_id, pictures),
            }
        )
    return cards


def _effect_words(line: Any) -> str:
    if not math.isfinite(line.effect):
        return ""
    way = "worse" if line.effect >= 0 else "better"
    what = "its family" if line.arm == "family" else "its images"
    ends = uncertainty(line.low, line.high, line.p)
    return f"{number(abs(line.effect))} bits/token {way} without {what}{ends}"


def _arm_bars(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return, for each prompt, its effect by arm, placed on a scale that all cards share."""
    chosen, naive = tables.designs(run.effects)
    found = run.effects[(run.effects["prompt_id"] != "") & (run.effects["measure"] == PRIMARY)]
    against = found[found["design"] == naive]
    keys = zip(against["prompt_id"], against["arm"], against["k"], strict=True)
    other = dict(zip(keys, against["estimate"], strict=True))
    found = found[found["design"] == chosen]
    found = found.assign(order=found["arm"].map(arm_order))
    found = found.sort_values(["order", "k"], kind="stable")
    zero, bars = strip(found[["estimate", "low", "high"]])
    cards: dict[str, list[dict[str, Any]]] = {}
    for line, bar in zip(rows(found), bars, strict=True):
        entry = {
            "arm": arm_label(line.arm) + (f", {line.k:g}" if line.k > 0 else ""),
            "effect": number(line.estimate, 3),
            "interval": interval(line.low, line.high, 3),
            "p": bare_p(line.p_value),
            "naive": number(other.get((line.prompt_id, line.arm, line.k), math.nan), 3),
            "zero": zero,
            **bar,
        }
        cards.setdefault(line.prompt_id, []).append(entry)
    return cards


def strip(values: pd.DataFrame) -> tuple[float, list[dict[str, float | None]]]:
    """Place intervals on one common scale from 0 to 100, for the small bars of the cards.

    Parameters
    ----------
    values : DataFrame
        Columns ``estimate, low, high``.

    Returns
    -------
    zero : float
        Where zero lies.
    bars : list of dict
        ``at, start, stop``; an open end lies at the edge; None where there is no estimate.
    """
    finite = values.to_numpy(float)
    finite = finite[np.isfinite(finite)]
    least, most = min([0.0, *finite]), max([0.0, *finite])

    def place(value: float) -> float:
        return round(float(np.clip((value - least) / ((most - least) or 1), 0, 1)) * 100, 2)

    bars: list[dict[str, float | None]] = []
    for value, low, high in values[["estimate", "low", "high"]].to_numpy(float):
        low, high = open_ends(low, high)
        ends = (value, value if math.isnan(low) else low, value if math.isnan(high) else high)
        places = map(place, ends) if math.isfinite(value) else (None, None, None)
        bars.append(dict(zip(("at", "start", "stop"), places, strict=True)))
    return place(0.0), bars


def _drawn(folder: Path, prompt_id: str, pictures: Pictures) -> list[tuple[str, str]]:
    """Return (number, data URI) of the numbered pictures of one prompt, in order."""
    inside = (folder / prompt_id).resolve()
    if not inside.is_relative_to(folder.resolve()) or not inside.is_dir():
        return []
    names = sorted((p.stem for p in inside.glob("*.png") if p.stem.isdecimal()), key=int)
    return [(name, pictures.uri(folder, f"{prompt_id}/{name}.png")) for name in names]


def influential(
    run: Run, prompt_id: str, family: str, captions: dict[str, str], pictures: Pictures
) -> list[dict[str, Any]]:
    """Return the training images that the run's ranking method puts first for a prompt."""
    top = run.ranking[run.ranking["prompt_id"] == prompt_id]
    method = (run.config.get("ranking") or {}).get("method")
    method = method if (top["method"] == method).any() else next(iter(top["method"]), "")
    top = top[top["method"] == method].sort_values("rank", kind="stable").head(TOP)
    families = _families(run)
    own = set(
        run.forget_sets.loc[
            (run.forget_sets["arm"] == "family") & (run.forget_sets["prompt_id"] == prompt_id),
            "image_id",
        ]
    )
    return [
        {
            "id": line.image_id,
            "caption": captions.get(line.image_id, ""),
            "score": number(line.score, 3),
            "place": place,
            "family": (family and families.get(line.image_id) == family) or line.image_id in own,
            "uri": pictures.uri(run.folder / "thumbnails", f"{line.image_id}.png"),
        }
        for place, line in enumerate(rows(top), start=1)
    ]


def _families(run: Run) -> dict[str, str]:
    """Families of training images, where the captions' table knows them."""
    if "family" not in run.captions:
        return {}
    return dict(zip(run.captions["image_id"], run.captions["family"], strict=True))


def redrawn(run: Run, prompt_id: str, pictures: Pictures) -> list[dict[str, Any]]:
    """Return the pictures that a model with the prompt's set, and one without it, drew again."""
    folder = run.folder / "generations"
    labels = ("trained with them", "trained without them")
    return [
        {"label": label, "model": model, "pictures": _drawn(folder / model, prompt_id, pictures)}
        for label, model in zip(labels, with_and_without(run, prompt_id), strict=False)
    ]


def with_and_without(run: Run, prompt_id: str) -> tuple[str, ...]:
    """Return a model that had the prompt's set and one that did not; nothing if there are none.

    Of the pairs of one seed, the one that differs least in what else was removed.
    """
    sets = run.forget_sets[run.forget_sets["prompt_id"] == prompt_id]
    if sets.empty:
        return ()
    sets = sets.assign(order=sets["arm"].map(arm_order)).sort_values(["order", "k", "draw"])
    chosen = sets["forget_set_id"].iloc[0]
    without = set(run.removals.loc[run.removals["forget_set_id"] == chosen, "model_id"])
    folder = run.folder / "generations"
    drew = run.models[run.models["model_id"] != SAMPLER]
    drew = drew.loc[[(folder / name / prompt_id).is_dir() for name in drew["model_id"]]]
    outs = drew[drew["model_id"].isin(without)]
    ins = drew[~drew["model_id"].isin(without)]
    pairs = [(i, o) for i in rows(ins) for o in rows(outs) if i.seed == o.seed]
    pairs = pairs or list(zip(rows(ins), rows(outs), strict=False))
    removed = run.removals.groupby("model_id")["forget_set_id"].agg(set).to_dict()
    pairs.sort(
        key=lambda p: len(removed.get(p[0].model_id, set()) ^ removed.get(p[1].model_id, set()))
    )
    return tuple(str(model.model_id) for model in pairs[0]) if pairs else ()


def missing_pictures(cards: list[dict[str, Any]], pictures: Pictures) -> list[str]:
    """Say which pictures the page could not show."""
    found = []
    shown = [image for card in cards for image in card["influential"]]
    missing = sum(not image["uri"] for image in shown) - pictures.dropped
    if missing > 0:
        found.append(
            f"{missing} of {len(shown)} thumbnails of training images are not in the run folder; "
            "their ids and captions stand in for them."
        )
    if pictures.dropped:
        found.append(
            f"{pictures.dropped} pictures are left out to keep this page small; they are in the "
            "run folder."
        )
    return found
