"""Everything that a run records about each picture on its page: the data of the large view."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

import pandas as pd

from untrain.core.vocabulary import SAMPLER
from untrain.evaluation.measurement import head, measure_of
from untrain.report.arms import arm_label
from untrain.report.page.gallery import REFERENCE, Gallery
from untrain.report.page.influence import uses_of
from untrain.report.ranking import main_ranking, metric_label, near_the_top
from untrain.report.words import number
from untrain.runs.results import RunResults, rows

MOST_USES = 12
LIKENESS = {
    "regeneration_ssim": "Structural likeness",
    "regeneration_cosine": "Cosine of features",
    "regeneration_mse": "Squared error",
}
Entry = dict[str, Any]


class PictureDetails:
    """Looks up what a run records about a training image or a generated picture."""

    def __init__(self, gallery: Gallery, near: pd.DataFrame) -> None:
        self.gallery, self.run = gallery, gallery.run
        run = gallery.run
        self.metrics = [metric_label(str(name)) for name in near.columns]
        self.near = dict(zip(near.index, near.to_numpy(float), strict=True))
        self.seeds = dict(zip(run.models["model_id"], run.models["seed"], strict=True))
        self.lost = {
            model: {line.forget_set_id for line in lines}
            for model, lines in _grouped(run.removals, "model_id").items()
        }
        self.own = _sets_of_prompts(run.forget_sets)
        self.uses = uses_of(near_the_top(run, main_ranking(run)))
        self.sets = _grouped(run.forget_sets, "image_id")
        self.content = dict(zip(run.catalog["image_id"], run.catalog["content"], strict=True))
        per_picture = run.measures.dropna(subset=["value"])
        names = ["measure", "prompt_id", "generation", "model_id"]
        per_picture = per_picture.dropna(subset=names)  # not means over many pairs
        self.measures = per_picture.groupby(names)["value"].mean().to_dict()

    def entries(self) -> dict[str, Entry]:
        """Return title, facts, table and relations of every picture that the page shows."""
        found = {}
        for key, about in list(self.gallery.about.items()):
            shown = self.gallery.shown[key]
            make = self._training if key.startswith("t/") else self._drawn
            found[key] = {
                "picture": shown.picture,
                "instead": shown.instead,
                **make(*about),
            }
        return found

    def _training(self, image_id: str) -> Entry:
        family, content = self.gallery.families.get(image_id, ""), self.content.get(image_id, "")
        copies = [key for key, source in self.gallery.copied.items() if source == image_id]
        facts = [
            ("Family", str(family or "")),
            ("Removed in", self._removed_in(image_id)),
            ("Absent from", self._absent_from(image_id)),
            ("SHA-256", str(content or "")[:16]),
        ]
        return {
            "kind": f"Training image {image_id}",
            "title": self.gallery.captions.get(image_id) or image_id,
            "facts": [fact for fact in facts if fact[1]],
            "table": self._metrics(image_id),
            "uses": self._uses(image_id),
            "see": [f"g/{SAMPLER}/{prompt}/{n}" for prompt, n in copies],
            "saw": "Pictures flagged as near copies of it",
        }

    def _removed_in(self, image_id: str) -> str:
        """The removals that the image is part of."""
        sets = self.sets.get(image_id, [])
        return "; ".join(
            f"{arm_label(s.arm)}, {s.k:g}, of {'all' if pd.isna(s.prompt_id) else s.prompt_id}"
            for s in sets
        )

    def _absent_from(self, image_id: str) -> str:
        own = {line.forget_set_id for line in self.sets.get(image_id, [])}
        paired = [name for name in self.seeds if name != SAMPLER]
        without = [name for name in paired if own & self.lost.get(name, set())]
        if not paired or not own:
            return ""
        return f"{len(without)} of {len(paired)} models: {', '.join(without) or 'none'}"

    def _uses(self, image_id: str) -> list[dict[str, str]]:
        """The prompts for which the image is a candidate, the highest rank first."""
        lines = self.uses.get(image_id, [])
        found = [
            {
                "href": f"#prompt-{quote(line.prompt_id)}",
                "prompt": self.gallery.texts.get(line.prompt_id, line.prompt_id),
                "words": f"rank {line.rank:.0f}, score {number(line.score, 3)}",
            }
            for line in lines[:MOST_USES]
        ]
        if len(lines) > MOST_USES:
            rest = f"and {len(lines) - MOST_USES} more at lower ranks"
            found.append({"href": "", "prompt": "", "words": rest})
        return found

    def _metrics(self, image_id: str) -> dict[str, Any]:
        """How much nearer than the mean candidate it is, by metric, for its first prompts."""
        prompts = [line.prompt_id for line in self.uses.get(image_id, [])]
        prompts = [p for p in prompts if (p, image_id) in self.near][:3]
        if not prompts:
            return {}
        columns = [self.near[prompt, image_id] for prompt in prompts]
        lines = [
            [name, *(number(float(column[row]), 2) for column in columns)]
            for row, name in enumerate(self.metrics)
        ]
        return {
            "caption": "How much nearer than the mean candidate, in standard deviations",
            "heads": ["Metric", *prompts],
            "rows": lines,
        }

    def _drawn(self, model: str, prompt_id: str, which: str) -> Entry:
        """A picture drawn by model A, or redrawn by another from the same noise."""
        again = model != SAMPLER
        prompt = {"href": f"#prompt-{quote(prompt_id)}", "prompt": f"prompt {prompt_id}"}
        name = "Reference picture" if which == REFERENCE else f"Picture {which}"
        return {
            "kind": f"{name}, redrawn by {model}" if again else name,
            "title": self.gallery.texts.get(prompt_id, prompt_id),
            "uses": [{**prompt, "words": ""}],
            **(self._again if again else self._first)(model, prompt_id, which),
        }

    def _first(self, model: str, prompt_id: str, which: str) -> Entry:
        source = self.gallery.copied.get((prompt_id, which))
        copy = [("Near copy", f"looks like a copy of training image {source}")] if source else []
        return {
            "facts": [("Model", _drew(self.run, model)), *copy],
            "table": self._surprise(prompt_id, which),
            "see": [f"t/{source}"] if source else [],
            "saw": "The training image it looks like",
        }

    def _again(self, model: str, prompt_id: str, which: str) -> Entry:
        facts = [
            ("Model", f"{model}, seed {self.seeds[model]}"),
            ("Trained without", self._without(model, prompt_id)),
        ]
        for measure, words in LIKENESS.items():
            value = self._measured(measure, prompt_id, which, model)
            facts += [(words, value)] if value else []
        return {
            "facts": facts,
            "table": {},
            "see": [f"g/{SAMPLER}/{prompt_id}/{which}"],
            "saw": "What model A drew from the same noise",
        }

    def _without(self, model: str, prompt_id: str) -> str:
        """Which of the prompt's own sets a model lacks."""
        lost = self.lost.get(model, set())
        gone: list[str] = []
        mine: set[str] = set()
        for arm, k, ids in self.own.get(prompt_id, []):
            if ids & lost:
                gone.append(f"{'' if ids <= lost else 'part of '}{arm_label(arm)}, {k:g}")
                mine |= ids & lost
        words = "; ".join(gone) or "none of its sets"
        others = len(lost) - len(mine)
        return words + (f"; {others} sets of other prompts" if others else "")

    def _measured(self, measure: str, prompt_id: str, which: str, model: str) -> str:
        value = self.measures.get((measure, prompt_id, _whole(which), model), math.nan)
        return "" if math.isnan(value) else number(value)

    def _surprise(self, prompt_id: str, which: str) -> dict[str, Any]:
        """How hard the picture is for each model."""
        lines = []
        for model in self.seeds:
            value = self._measured(measure_of(self.run.unit), prompt_id, which, model)
            drew = "drew it" if model == SAMPLER else self._without(model, prompt_id)
            if value:
                lines.append([model, value, drew])
        if not lines:
            return {}
        return {
            "caption": "How hard the picture is for each model",
            "heads": ["Model", head(self.run.unit), "Trained without"],
            "rows": lines,
        }


def _sets_of_prompts(forget_sets: pd.DataFrame) -> dict[str, list[tuple[str, float, set[str]]]]:
    """Return, for each prompt, arm and size of its sets and the forget sets that each is made of.

    These are several where rankings share images.
    """
    found: dict[str, list[tuple[str, float, set[str]]]] = {}
    known = forget_sets.dropna(subset=["prompt_id"])
    keys = ["prompt_id", "arm", "k", "draw"]
    for (prompt_id, arm, _, _), own in known.groupby(keys, sort=False):
        size = float(own["k"].iloc[0])
        found.setdefault(str(prompt_id), []).append((str(arm), size, set(own["forget_set_id"])))
    return found


def _drew(run: RunResults, model: str) -> str:
    return "unknown: the picture was given" if run.given else f"{model}, which drew the pictures"


def _whole(which: str) -> int:
    return int(which) if which.isdecimal() else -1


def _grouped(table: pd.DataFrame, by: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for line in rows(table):
        found.setdefault(getattr(line, by), []).append(line)
    return found
