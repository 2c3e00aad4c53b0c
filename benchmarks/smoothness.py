"""How predictable is training as the recipe changes? Trial noise, LDS and picture quality together.

For each variant, settings of the preset such as ``"lr=1.5e-3 averaging=0.5"``, the demo's model A
is trained and draws its pictures, paired models are trained on random halves of the data, and every
query is measured under every one of them::

    python benchmarks/smoothness.py --runs runs --out smoothness \\
        --variants base lr=1e-3 "eps=1e-4 epochs=12" --models 16 --temperatures 0.6 0.5

Variants are compared on the same prompts and the same halves. Each is a run of its own in
``--runs`` and keeps its models there, and its figures in ``smoothness/``, so that an interrupted
table goes on and a longer one trains only what is missing. Sampling is no part of training: every
temperature is tried on the same models.

Columns: ``time``, of training relative to the first variant (processor seconds of a step, measured
in turns, times epochs); ``article`` and ``colour``, the quality gate's shares on the demo's
pictures, and ``held_article``, ``held_colour`` and ``held_family`` (is the nearest real picture of
the prompt's family?) on 8 pictures of each held-out caption; ``held_bits``, of held-out pairs under
A; ``distance``, the Fréchet distance of one picture for each caption, as in `recipes.py`;
``effect``, of removing ten images of a prompt's family, in bits a token: ten times the slope of the
outcome on how many of them are removed; ``noise``, the standard deviation over models that this
line leaves; ``signal``, the one by the other, the mean over prompts with its 95 % interval over
models and prompts; ``lds_family``, the LDS of knowing the family, and that of each of
``--methods``. What stands after ``over`` is the difference from the first variant at the same
temperature, with its interval.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file, save_file

import untrain
from recipe_variants import Recipe
from recipes import Features, Setting, frechet, relative_cost
from untrain.attribution.base import Attributor, Evidence
from untrain.attribution.registry import make_attributor
from untrain.banks.bank import Bank, train_bank
from untrain.core.atomic import atomic_file
from untrain.core.files import fingerprint, read_json, write_json
from untrain.encoders import load_encoder
from untrain.evaluation.lds import Estimate, lds
from untrain.evaluation.measures import Surprise
from untrain.evaluation.quality import judge_pictures
from untrain.generators.dalle.presets import preset_of
from untrain.generators.queries import Queries, draw
from untrain.runs.run import Run

K, HELD = 10, 8
BASE = "base"


@dataclass(frozen=True)
class Variant:
    """A change to the recipe, as it was written: ``base``, or settings between spaces."""

    text: str

    @property
    def settings(self) -> dict[str, float | int]:
        """The settings that are changed."""
        if self.text == BASE:
            return {}
        parts = [part.partition("=") for part in self.text.split()]
        return {name: json.loads(value) for name, _, value in parts}

    def experiment(self, args: argparse.Namespace) -> untrain.Experiment:
        """Return the demo with this recipe, in a folder named after it."""
        name = "smooth-" + re.sub(r"[^\w.-]+", "-", self.text)
        sets = [f"generator.preset={args.preset}"]
        fixed = {"temperature": args.temperatures[0]}  # in no model's weights, but in its recipe
        sets += [f"generator.settings.{k}={v:g}" for k, v in {**fixed, **self.settings}.items()]
        given = {"seed": args.seed, "runs": args.runs, "name": name}
        return untrain.Experiment.demo(
            "demo", *sets, **given, workers=args.workers, threads=args.threads
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of a variant at a temperature.

    Attributes
    ----------
    record : dict
        Figures that are as they stand in the table.
    kept : ndarray of bool, (models, images)
    outcomes : ndarray of float, (models, prompts)
        Mean over a prompt's pictures, bits a token; higher is worse.
    scores : dict of str to ndarray, (prompts, images)
        Of each attributor; ``family`` among them.
    """

    record: dict[str, Any]
    kept: np.ndarray
    outcomes: np.ndarray
    scores: dict[str, np.ndarray]


def measured(run: Run, bank: Bank, temperature: float, methods: Sequence[str]) -> Measured:
    """Measure a variant at a temperature, or read what was measured before."""
    first = str(run.table("model_a")["path"].iloc[0])
    name = fingerprint(temperature, list(bank.models["fingerprint"]), first)
    path = run.path("smoothness", name)
    tables, record = path.with_suffix(".safetensors"), path.with_suffix(".json")
    stored = load_file(tables) if tables.exists() else {}
    missing = [method for method in ("family", *methods) if f"scores {method}" not in stored]
    if missing or not record.exists():
        model = run.trainer.load(first)
        recipe, model.preset = model.preset, replace(model.preset, temperature=temperature)
        roles = dict(zip(run.prompts["prompt_id"], run.prompts["role"], strict=True))
        keys = [(p, g) for p in run.texts for g in range(run.config.per_prompt + 1)]
        shown = draw(model, keys, run.texts, run.config.seed)  # as the stage draws them
        asked = [i for i, (p, _) in enumerate(keys) if roles[p] == "query"]
        last = run.config.per_prompt  # the reference of each prompt
        queries = shown.take([i for i in asked if keys[i][1] != last])
        if not record.exists():
            found = quality(run, model, shown.take(asked)) | {"distance": distance(run, model)}
            write_json(record, {"models": len(bank.kept), **found})
        model.preset = recipe  # gradients are the same at every temperature, and known by it
        if "outcomes" not in stored:
            stored |= {"kept": bank.kept.astype(np.uint8), "outcomes": outcomes(run, bank, queries)}
        evidence = Evidence(run.catalog, queries, run.prompts, model=model, seed=run.config.seed)
        for method in missing:
            found = attributor(method).scores(evidence).values
            stored[f"scores {method}"] = np.ascontiguousarray(found)
        with atomic_file(tables) as temporary:
            save_file(stored, temporary)
    known = {k.removeprefix("scores "): v.astype(np.float64) for k, v in stored.items()}
    kept, values = stored["kept"].astype(bool), known["outcomes"]
    scores = {method: known[method] for method in ("family", *methods)}
    return Measured(read_json(record), kept, values, scores)


def attributor(text: str) -> Attributor:
    """Return the attributor of ``NAME`` or ``NAME/DAMPING``."""
    name, _, damping = text.partition("/")
    made = make_attributor(name)
    if damping:
        made.damping = float(damping)  # type: ignore[attr-defined]
    return made


def outcomes(run: Run, bank: Bank, queries: Queries) -> np.ndarray:
    """Return the mean bits a token of each prompt's pictures under each model of a bank."""
    assert queries.samples is not None
    rows = []
    for path in bank.models["path"]:
        model = run.trainer.load(str(path))
        each = Surprise(model.log_likelihood, model.unit)(queries.samples, queries.prompts)
        rows.append([each[queries.rows(p)].mean() for p in queries.prompt_ids])
    return np.array(rows)


def quality(run: Run, model: Any, shown: Queries) -> dict[str, float]:
    """Return the quality gate's shares, also on held-out captions, and held-out bits a token."""
    pictures = [(p, picture) for (p, _), picture in zip(shown.keys, shown.pictures, strict=True)]
    own = judge_pictures(run.catalog, run.prompts, pictures)
    held = run.held_out
    prompts = pd.DataFrame(
        {
            "prompt_id": held.ids,
            "prompt": held.captions,
            "family": held.attributes["family"].astype(str),
        }
    )
    texts = dict(zip(held.ids, held.captions, strict=True))
    drawn = draw(model, [(p, g) for p in texts for g in range(HELD)], texts, run.config.seed)
    named = [(p, picture) for (p, _), picture in zip(drawn.keys, drawn.pictures, strict=True)]
    other = judge_pictures(run.catalog, prompts, named)
    assert own is not None and other is not None
    samples = model.encode(held.pixels(model.image_size))
    bits = Surprise(model.log_likelihood, model.unit)(samples, held.captions)
    return {
        "article": own.record["article"],
        "colour": own.record["colour"],
        "held_article": other.record["article"],
        "held_colour": other.record["colour"],
        "held_family": nearest_of_family(run, model, drawn, prompts),
        "held_bits": float(bits.mean()),
    }


def distance(run: Run, model: Any) -> float:
    """Return 1,000 times the Fréchet distance of one picture a caption to the real pictures."""
    keys = list(zip(run.catalog.ids, range(len(run.catalog)), strict=True))
    texts = dict(zip(run.catalog.ids, run.catalog.captions, strict=True))
    drawn = draw(model, keys, texts, run.config.seed)
    real = run.catalog.pixels(model.image_size)
    return frechet(real, np.stack(drawn.pictures), Features(real))


def nearest_of_family(run: Run, model: Any, drawn: Queries, prompts: pd.DataFrame) -> float:
    """Return how often the nearest real picture, by layout, is of the prompt's family."""
    encoder = load_encoder("layout")
    real = encoder.encode(list(run.catalog.pixels(model.image_size))).astype(np.float64)
    mean = real.mean(0)
    ours = encoder.encode(list(drawn.pictures)).astype(np.float64) - mean
    real -= mean
    ours, real = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, real))
    found = run.catalog.attributes["family"].astype(str).to_numpy()[(ours @ real.T).argmax(1)]
    wanted = prompts.set_index("prompt_id")["family"]
    return float(np.mean([f == wanted[p] for f, (p, _) in zip(found, drawn.keys, strict=True)]))


def signal_to_noise(
    members: np.ndarray, kept: np.ndarray, nll: np.ndarray
) -> tuple[float, float, Estimate]:
    """Return the effect of removing K of a prompt's own, the noise about it, and their ratio.

    The outcome of each prompt is regressed on how many of its own images a model lacks; the noise
    is the standard deviation of the residuals (models less two degrees of freedom).

    Parameters
    ----------
    members : ndarray of bool, (prompts, images)
    kept : ndarray of bool, (models, images)
    nll : ndarray of float, (models, prompts)

    Returns
    -------
    float, float
        The mean over prompts of the effect, and the root of the mean square of the noise.
    Estimate
        Of the ratio.
    """
    out = (~kept).astype(np.float64) @ members.T.astype(np.float64)

    def line(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = out[rows] - out[rows].mean(0), nll[rows] - nll[rows].mean(0)
        slope = (x * y).sum(0) / (x**2).sum(0)
        return K * slope, np.sqrt(((y - slope * x) ** 2).sum(0) / (len(rows) - 2))

    models = np.arange(len(kept))
    effect, noise = line(models)
    others = [line(np.delete(models, m)) for m in models]
    ratio = Estimate(effect / noise, np.stack([e / n for e, n in others]))
    return float(effect.mean()), float(np.sqrt((noise**2).mean())), ratio


def table_of(found: dict[tuple[str, float], Measured], times: dict[str, float]) -> pd.DataFrame:
    """Return the table; differences are from the first variant, at the same temperature."""
    first = next(iter(found))[0]
    rows = []
    for (text, temperature), each in found.items():
        row = {"variant": text, "temperature": temperature, "time": times[text], **each.record}
        base = found[first, temperature]
        estimates = [_estimates(m) for m in (each, base)]
        row["effect"], row["noise"], _ = signal_to_noise(
            each.scores["family"] > 0, each.kept, each.outcomes
        )
        for name, estimate in estimates[0].items():
            row |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            if text != first and name in estimates[1]:
                lead = estimate - estimates[1][name]
                row |= {f"{name}_over": lead.mean}
                row |= {f"{name}_over_low": lead.low, f"{name}_over_high": lead.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _estimates(each: Measured) -> dict[str, Estimate]:
    ratio = signal_to_noise(each.scores["family"] > 0, each.kept, each.outcomes)[2]
    of_methods = {f"lds_{m}": lds(s, each.kept, each.outcomes) for m, s in each.scores.items()}
    return {"signal": ratio, **of_methods}


def markdown(table: pd.DataFrame) -> str:
    """Return the table for people."""
    ratios = [name for name in table if f"{name}_low" in table and not name.endswith("_over")]
    head = ["variant", "temperature", "time", "article, colour", "held-out", "bits", "distance"]
    head += ["effect", "noise", *(n for name in ratios for n in (name, "over the first"))]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for r in table.to_dict("records"):
        cells = [r["variant"], f"{r['temperature']:g}", f"{r['time']:.2f}"]
        cells += [f"{r['article']:.0%}, {r['colour']:.0%}"]
        held = (r[f"held_{name}"] for name in ("article", "colour", "family"))
        cells += [", ".join(f"{share:.1%}" for share in held), f"{r['held_bits']:.2f}"]
        cells += [f"{r['distance']:.2f}"]
        cells += [f"{r['effect']:.2f}", f"{r['noise']:.2f}"]
        for name in ratios:
            cells += [_with_interval(r, name, ""), _with_interval(r, f"{name}_over", "+")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _with_interval(row: dict[str, Any], name: str, sign: str) -> str:
    value = row.get(name, np.nan)
    if np.isnan(value):
        return "–"
    return f"{value:{sign}.2f} ({row[f'{name}_low']:{sign}.2f} to {row[f'{name}_high']:{sign}.2f})"


def main() -> None:
    """Measure the variants and write ``OUT.csv`` and ``OUT.md`` after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", nargs="+", default=[BASE], help="the first is compared with")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--models", type=int, default=16, help="random halves (default 16)")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.8])
    parser.add_argument("--methods", nargs="*", default=[], help="attributors, as dtrak/0.1: /λ")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--threads", type=int, default=1, help="of model A (default 1)")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("smoothness"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    variants = [Variant(text) for text in args.variants]
    base = preset_of(args.preset, **variants[0].settings)
    at = Setting("", args.seed, args.runs)
    found: dict[tuple[str, float], Measured] = {}
    times: dict[str, float] = {}
    for variant in variants:
        run = Run(variant.experiment(args).config)
        bank = train_bank(run, args.models)
        run.trainer.prepare()
        for temperature in args.temperatures:
            found[variant.text, temperature] = measured(run, bank, temperature, args.methods)
        recipe = preset_of(args.preset, **variant.settings)
        cost = relative_cost(base, Recipe("", vars(recipe)), "transformer", at)
        times[variant.text] = recipe.epochs / base.epochs * cost
        table = table_of(found, times)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        table.round(4).to_csv(args.out.with_suffix(".csv"), index=False)
        args.out.with_suffix(".md").write_text(markdown(table))
        print(markdown(table), flush=True)


if __name__ == "__main__":
    main()
