"""The tables of `case_for_the_trial.py`, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from case_pairs import trial_error
from untrain.evaluation.variance import VarianceComponents

LABELS = {
    "naive": "naive: against A",
    "cross-fitted": "cross-fitted: one pair",
    "trial": "randomised trial",
}
WAYS = tuple(LABELS)


def tables(found: dict[str, Any]) -> str:
    """Return all tables as Markdown."""
    head = f"# {len(found['runs'])} runs, models {found['models']}, {found['n_prompts']} prompts\n"
    return "\n".join([head, *_seen(found), *_precision(found), *_power(found), *_limits(found)])


def table(title: str, head: str, rows: Sequence[Sequence[object]]) -> str:
    """Return a titled table; ``head`` is its columns, separated by bars."""
    names = [name.strip() for name in head.split("|")]
    lines = [f"## {title}\n", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def _seen(found: dict[str, Any]) -> list[str]:
    nothing = [
        (
            *(LABELS[way], f"{arm['mean']:+.3f} ± {arm['error']:.3f}"),
            *(f"{arm['spread_of_runs']:.3f}", f"{arm['spread_of_one']:.3f}"),
            f"{arm['prompts_of_one']:.0f}",
        )
        for way, arm in found["random_arm"].items()
    ]
    ordered = sorted(found["rates"], key=lambda r: (r["what"], r["arm"], WAYS.index(r["way"])))
    called = [
        (
            *(r["what"], r["arm"], LABELS[r["way"]], f"{r['share']:.1%}"),
            *(f"{r['low']:.0%} to {r['high']:.0%}", f"{r['two_sided']:.1%}"),
            *(r["decisions"], f"{r['prompts']:.0f}"),
        )
        for r in ordered
    ]
    return [
        table(
            "Random arm (bits a token; should be 0)",
            "way | mean over runs | spread of runs | spread of one comparison | its prompts",
            nothing,
        ),
        table(
            "Called an effect at 5 %, one-sided",
            "what | images out | way | called | 95 % | by t, or two-sided (trial) | decisions "
            "| prompts or pictures tested",
            called,
        ),
    ]


def _precision(found: dict[str, Any]) -> list[str]:
    q, seen = found["n_prompts"], found["subsets"]
    noise: dict[str, VarianceComponents] = found["noise_of"]
    of_noise = [
        (
            *(kind, f"{n['sd']:.3f}"),
            f"{n['correlation']:+.3f} ± {n['correlation_error']:.3f}",
        )
        for kind, n in found["noise"].items()
    ]
    errors = []
    for m in found["power"]["overall"]["models"]:
        measured = [f"{seen[m][name]:.3f}" if m in seen else "" for name in ("plain", "weighted")]
        trial = trial_error(noise["all"], m, q)
        strong = math.sqrt(3 * (noise["in"].total + noise["out"].total) / (m * q))
        weak = math.sqrt(6 * noise["in"].total / (m * q))
        errors.append((m, f"{trial:.3f}", *measured, f"{strong:.3f}", f"{weak:.3f}"))
    between = [
        (
            *(arm, f"{s['mean']:+.3f} ± {s['error']:.3f}", f"{s['spread']:.3f}"),
            *(f"{s['own_error']:.3f}", f"{s['between']:.3f}", f"{s['one_value_p']:.2g}"),
            *(f"{s['prompts_sd']:.2f}", f"{s['between_beyond_prompts']:.3f}"),
            f"{s['beyond_prompts_p']:.2g}",
        )
        for arm, s in found["seeds"].items()
    ]
    weighted = [
        (arm, f"{w['mean']:+.3f} ± {w['error']:.3f}") for arm, w in found["weighted"].items()
    ]
    return [
        table(
            "Noise of a prompt's outcome between paired models",
            "models: all, with its images, without | sd | correlation of two prompts",
            of_noise,
        ),
        table(
            "Standard error of an arm's mean, bits a token",
            "models | trial | trial, random arms measured | the same, weighted "
            "| (full, without targeted, without random) × M/3 seeds: targeted | random",
            errors,
        ),
        table("Random arms, weighted, all models", "arm | mean over runs", weighted),
        table(
            "Between runs",
            "arm | mean | spread of runs | own error | true spread | p (one value) "
            "| prompts' spread | beyond prompts | p",
            between,
        ),
    ]


def _power(found: dict[str, Any]) -> list[str]:
    parts = []
    for what in ("overall", "query"):
        power = found["power"][what]
        ways = ("trial", "alone", "pairs")
        rows = [
            (m, *(f"{power[way][i][e]:.0%}" for e in (0, 1) for way in ways))
            for i, m in enumerate(power["models"])
        ]
        names = " | ".join(f"{way}, {effect:g}" for effect in power["effects"] for way in ways)
        parts.append(table(f"Called at 5 %, {what}, by true effect", f"models | {names}", rows))
    luck = found["power"]["luck"]
    prompts = list(next(iter(luck.values())))
    rows = [(f"{rho:g}", *(f"{of[n]:.1%}" for n in prompts)) for rho, of in luck.items()]
    head = "correlation of two prompts | " + " | ".join(f"{n} prompts" for n in prompts)
    parts.append(table("One pair, t test over prompts: false positives", head, rows))
    return parts


def _limits(found: dict[str, Any]) -> list[str]:
    cross = [(k, f"{c['mean']:+.4f} ± {c['error']:.4f}") for k, c in found["cross"].items()]
    both = found["adjusting"]
    worlds = [
        (
            *(c["world"], c["models"], f"{c['covered']:.0%}", f"{c['false_positives']:.1%}"),
            *(f"{c['half_width']:.3f}", f"{c['error']:.3f}"),
        )
        for c in found["coverage"]
    ]
    return [
        table("What a set does to pictures it has nothing to do with", "sets | bits", cross),
        f"Null spread of random arms: {both['plain']:.3f} unadjusted, {both['adjusted']:.3f} "
        "adjusted for the targeted set.\n",
        table(
            "Nominal 95 % intervals and 5 % tests of the trial (simulated)",
            "world | models | covered | false positives | half width | error (rms)",
            worlds,
        ),
    ]
