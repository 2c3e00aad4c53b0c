"""Fidelity of unlearning as text: the report's rows, a page of Markdown, sentences that answer."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from untrain.core.text import markdown, markdown_prose, markdown_table
from untrain.core.vocabulary import Attack, Fidelity, Group, Reference
from untrain.evaluation.fidelity import GOAL
from untrain.report.words import number, open_ends
from untrain.runs.fidelity import LadderResult, has_fidelity, read_fidelity
from untrain.runs.results import RunResults, rows

CHEAP = 0.05
"""The share of a retraining at which methods are compared in words: the dearest up to it."""
REFERENCES = (Reference.OTHER_SEED.value, Reference.OTHER_SET.value)
"""Retrained models beside the methods: what they cost is a whole training."""
CONTROL = "nothing"
TOLD = ("oracle_matching",)
"""Methods that know the twin: upper bounds, no candidates."""
ATTACKS = {Attack.LOSS: "by value", Attack.CALIBRATED: "calibrated"}
VERDICTS = {verdict: verdict.value for verdict in Fidelity} | {Fidelity.SAME: "like nothing"}
GROUPS = {
    Group.FORGET: "forgotten images",
    Group.QUERY: "generated pictures",
    Group.RETAINED: "retained images",
    Group.HELD_OUT: "held-out pairs",
}
HEADS = (
    *("Method", "Spent", "Forgotten images", "Generated pictures"),
    *("Verdict", "Retained moved", "Held-out moved"),
)
BEST_HEADS = ("Method", "Best on forgotten images", "at", "Best on pictures", "at", "Harms")
KIND_HEADS = ("Method", "Sets", "Forgotten images", "Generated pictures", "Reach")
ATTACK_HEADS = (
    *("Method", "Attack", "AUC", "the twin’s", "before", "Beyond the twin"),
    *("Found at 1 %", "the twin’s", "before"),
)
DISTANCE_HEADS = ("Method", "Pairs", "KS", "p", "KLoM", "of twins", "U-LiRA", "ε")


def share(value: float) -> str:
    """Return a share of a training for people: 0.5 %, 20 %."""
    return f"{100 * value:.3g}\N{NO-BREAK SPACE}%" if math.isfinite(value) else "—"


def is_told(method: str) -> bool:
    """Tell whether a method, with its options, knows the twin."""
    return method.partition(":")[0] in TOLD


def cheap_budget(result: LadderResult) -> float:
    """Return the budget that methods are compared at: the largest up to 5 %, else the smallest."""
    table = result.table[~result.table["method"].isin(REFERENCES)]
    budgets = sorted(float(each) for each in table["budget"].unique())
    return max((each for each in budgets if each <= CHEAP), default=budgets[0])


def at_budget(result: LadderResult, budget: float) -> dict[str, dict[str, Any]]:
    """Return the rows over all sets at one budget: method → group → row, best on forgotten first.

    Methods without a rho come last.
    """
    table = result.table
    found: dict[str, dict[str, Any]] = {}
    for row in rows(table[table["kind"].isna() & (table["budget"] == budget)]):
        found.setdefault(row.method, {})[row.group] = row

    def place(method: str) -> float:
        rho = _of(found[method], Group.FORGET, "rho")
        return -rho if math.isfinite(rho) else math.inf

    return {method: found[method] for method in sorted(found, key=place)}


def _of(groups: dict[str, Any], group: str, what: str) -> float:
    """Return a figure of a group, NaN where it was not measured."""
    return float(getattr(groups[group], what)) if group in groups else math.nan


def _rho_of(groups: dict[str, Any], group: str) -> str:
    return _rho(*(_of(groups, group, what) for what in ("rho", "low", "high")))


def fidelity_rows(result: LadderResult, budget: float) -> list[tuple[str, ...]]:
    """Return the rows of the main table: each method at a budget, then the references."""
    found = at_budget(result, budget)
    retrained = at_budget(result, 1.0)
    found |= {name: retrained[name] for name in REFERENCES if name in retrained}
    return [_line(name, groups) for name, groups in found.items()]


def _line(name: str, groups: dict[str, Any]) -> tuple[str, ...]:
    diverged = any(row.diverged for row in groups.values())
    first = groups.get(Group.FORGET) or next(iter(groups.values()))
    return (
        name,
        share(first.spent),
        _rho_of(groups, Group.FORGET),
        _rho_of(groups, Group.QUERY),
        "diverged" if diverged else VERDICTS[Fidelity(first.verdict)],
        *(number(_of(groups, g, "moved"), 2) for g in (Group.RETAINED, Group.HELD_OUT)),
    )


def _rho(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "—"
    low, high = open_ends(low, high)
    if math.isnan(low):
        return _far(value)
    return f"{_far(value)} [{_far(low)}, {_far(high)}]"


def _far(value: float) -> str:
    """Return a rho; how far below −10 says nothing more."""
    return "< −10" if value < -10 else number(value, 2)


def best_rows(result: LadderResult) -> list[tuple[str, ...]]:
    """Return what each method reaches at its best budget, and at which budgets it harms."""
    table = _methods(result)
    lines = []
    for method in dict.fromkeys(table["method"]):
        own = table[table["method"] == method]
        cells: list[str] = [str(method)]
        for group in (Group.FORGET, Group.QUERY):
            known = list(rows(own[(own["group"] == group) & own["rho"].notna()]))
            best = max(known, key=lambda row: row.rho, default=None)
            cells += (
                [_rho(best.rho, best.low, best.high), share(best.budget)] if best else ["—"] * 2
            )
        lines.append((*cells, _harm_words(own)))
    return lines


def harming(own: pd.DataFrame) -> dict[str, list[float]]:
    """Return the budgets at which a method harms forgotten images or pictures, by group."""
    return {
        group.value: sorted(
            own[(own["group"] == group) & (own["verdict"] == Fidelity.HARMS)]["budget"].tolist()
        )
        for group in (Group.FORGET, Group.QUERY)
    }


def _harm_words(own: pd.DataFrame) -> str:
    found = [
        f"{GROUPS[Group(group)]} at {', '.join(share(each) for each in budgets)}"
        for group, budgets in harming(own).items()
        if budgets
    ]
    return "; ".join(found) or "no"


def kind_rows(result: LadderResult, budget: float) -> list[tuple[str, ...]]:
    """Return rho by kind of forget set at a budget; nothing where there is one kind."""
    table = result.table
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows(table[table["kind"].notna() & (table["budget"] == budget)]):
        found.setdefault((row.method, row.kind), {})[row.group] = row
    order = list(at_budget(result, budget))
    return [
        (
            *(method, kind, _rho_of(groups, Group.FORGET), _rho_of(groups, Group.QUERY)),
            number(_of(groups, Group.FORGET, "reach"), 2),
        )
        for (method, kind), groups in sorted(found.items(), key=lambda it: order.index(it[0][0]))
        if method != CONTROL
    ]


def attack_rows(result: LadderResult, budget: float) -> list[tuple[str, ...]]:
    """Return what membership attackers find at a budget, and before."""
    table = result.membership
    chosen = table[table["kind"].isna() & table["budget"].isin([budget, 0.0])]
    chosen = chosen[chosen["method"] != CONTROL]
    return [
        (
            "(before)" if row.method == Reference.FULL else row.method,
            ATTACKS[Attack(row.attack)],
            *(number(each, 2) for each in (row.auc, row.auc_twin, row.auc_full)),
            _rho(row.beyond, row.low, row.high),
            *(f"{each:.0%}" for each in (row.tpr, row.tpr_twin, row.tpr_full)),
        )
        for row in rows(chosen.sort_values(["attack", "beyond"], kind="stable"))
    ]


def distance_rows(result: LadderResult, budget: float) -> list[tuple[str, ...]]:
    """Return the distances between distributions at a budget, and before."""
    table = result.distances
    chosen = table[table["budget"].isin([budget, 0.0]) & (table["method"] != CONTROL)]
    return [
        (
            "(before)" if row.method == Reference.FULL else row.method,
            GROUPS[Group(row.group)],
            *(number(each, 2) for each in (row.ks, row.ks_p, row.klom, row.klom_floor)),
            *(number(each, 2) for each in (row.ulira, row.epsilon)),
        )
        for row in rows(chosen)
        if row.group in (Group.FORGET, Group.QUERY)
    ]


def answer(result: LadderResult) -> list[str]:
    """Return what the ladder says, in sentences: who comes nearest cheaply, and who harms."""
    budget, table = cheap_budget(result), _methods(result)
    found = at_budget(result, budget)
    asked = [group for group in (Group.FORGET, Group.QUERY) if (table["group"] == group).any()]
    worst = {
        method: min(_of(groups, group, "rho") for group in asked)
        for method, groups in found.items()
        if asked and method not in (CONTROL, *REFERENCES) and not is_told(method)
    }
    worst = {method: rho for method, rho in worst.items() if math.isfinite(rho)}
    said = []
    if worst:
        best = max(worst, key=lambda method: worst[method])
        each = (f"{_rho_of(found[best], group)} on {GROUPS[group]}" for group in asked)
        met = "which is the goal" if worst[best] >= GOAL else "short of the goal"
        said.append(
            f"At {share(budget)} of a retraining {best} comes nearest to exact retraining: "
            f"rho {' and '.join(each)}, {met} of {GOAL:g}."
        )
        beyond = [
            f"{GROUPS[group]} {number(moved, 2)} times as far"
            for group in (Group.RETAINED, Group.HELD_OUT)
            if math.isfinite(moved := _of(found[best], group, "moved"))
        ]
        if beyond:
            said.append(f"It moves {' and '.join(beyond)} as exact retraining does.")
    harmful = [
        str(method)
        for method in dict.fromkeys(table["method"])
        if any(harming(table[table["method"] == method]).values())
    ]
    if harmful:
        said.append(
            f"Worse than doing nothing at some budget: {', '.join(harmful)} (the interval of rho "
            "is below 0, or the model diverged)."
        )
    return said


def _methods(result: LadderResult) -> pd.DataFrame:
    """Return the rows of methods, over all sets."""
    table = result.table
    return table[table["kind"].isna() & ~table["method"].isin([CONTROL, *REFERENCES])]


def how_to_read(result: LadderResult) -> str:
    """Return what the figures of a ladder mean."""
    seeds = f"{result.models} model{'s' * (result.models != 1)}"
    sets = f"{result.sets} forget set{'s' * (result.sets != 1)}"
    return (
        f"{seeds} and, for each of {sets}, the model's exact twin: trained again without the set, "
        "same start and same order of the data. rho = 1 − Σ(unlearned − twin)² / Σ(before − twin)² "
        "over the measured pairs: 1 is the twin itself, 0 is doing nothing, below 0 is harm. "
        "Intervals are 95 %, over models and sets; the verdict is on forgotten images. Moved: how "
        "far pairs moved (root mean square), relative to how far the twin moved them; 1 is as far."
    )


def notes(result: LadderResult) -> list[str]:
    """Return what a reader must know beside the figures."""
    found = [
        "rho pools all pairs of a group, so sets whose removal matters most count most. It is of "
        "one measure on the pairs that were measured, and says nothing of others.",
        "Reach is how far a method goes along the twin's move, 1 being as far: a rho below 0 with "
        "a reach above 2 is overshooting, one with a reach near 0 is damage elsewhere.",
        "An attacker finds out something where forgotten images are told from held-out pairs "
        "better, or worse, than the twin tells them: the twin never saw either.",
    ]
    names = set(result.table["method"])
    if Reference.OTHER_SEED in names:
        found.append(
            "`other seed` is what exact twins of the other seeds predict: what forgetting does on "
            "average, without this model's own luck. It costs a training."
        )
    if Reference.OTHER_SET in names:
        found.append(
            "`other set` is an exact retraining without another, random set: forgetting the wrong "
            "images."
        )
    if any(map(is_told, names)):
        found.append("`oracle_matching` is given the twin's predictions: an upper bound.")
    if any(name.partition(":")[0] == "sisa" for name in names):
        found.append(
            "`sisa` is another recipe: a new model of a part of the retained images. It has "
            "forgotten the set for certain; rho says how near it comes to the whole model's twin."
        )
    of_budget = _methods(result).groupby("budget")["clusters"].max()
    if (few := of_budget[of_budget < of_budget.max()]).size:
        at = ", ".join(share(float(budget)) for budget in few.index)
        found.append(
            f"At {at} fewer models or sets were tried than at other budgets: a curve may bend "
            "there because of that."
        )
    if result.models == 1:
        found.append("There is one model, so intervals are over sets only, and hold for it only.")
    if result.distances[["klom", "ulira"]].isna().all(axis=None):
        found.append(
            "KLoM, U-LiRA and ε compare distributions over models and need at least 4, 5 and 8 of "
            "them for each set."
        )
    return found + [note.text for note in result.notes]


def fidelity_markdown(result: LadderResult) -> str:
    """Return the content of ``results/fidelity.md``."""
    budget = cheap_budget(result)
    parts = [
        f"# Unlearning in {markdown(result.name)}",
        " ".join(answer(result)),
        how_to_read(result),
        f"## At {share(budget)} of a retraining",
        _table(HEADS, fidelity_rows(result, budget)),
        "![Cost against fidelity of every method](figures/unlearning.svg)",
        "## At each method's best budget",
        _table(BEST_HEADS, best_rows(result)),
    ]
    for title, heads, lines in details(result):
        parts += [f"## {title}", _table(heads, lines)]
    parts.append("\n".join(f"- {markdown_prose(note)}" for note in notes(result)))
    return "\n\n".join(parts) + "\n"


def details(result: LadderResult) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Return the further tables that have rows: title, heads, rows."""
    budget = cheap_budget(result)
    found = [
        (f"By kind of forget set, at {share(budget)}", KIND_HEADS, kind_rows(result, budget)),
        (
            f"What a membership attacker finds out, at {share(budget)}",
            ATTACK_HEADS,
            attack_rows(result, budget),
        ),
        (f"Distances, at {share(budget)}", DISTANCE_HEADS, distance_rows(result, budget)),
    ]
    return [each for each in found if each[2]]


def unlearning_text(run: RunResults) -> dict[str, Any] | None:
    """Return what the page and the summary say of a run's ladder, or None where there is none."""
    if not has_fidelity(run.folder):
        return None
    result = read_fidelity(run.folder)
    budget = cheap_budget(result)
    return {
        "answer": answer(result),
        "how": how_to_read(result),
        "title": f"At {share(budget)} of a retraining",
        "heads": HEADS,
        "rows": fidelity_rows(result, budget),
        "best": ("At each method’s best budget", BEST_HEADS, best_rows(result)),
        "details": details(result),
        "notes": notes(result),
    }


def _table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    rule = ("---", *["---:"] * (len(heads) - 1))
    every = [heads, rule, *[tuple(markdown_prose(cell) for cell in line) for line in lines]]
    return markdown_table(every)
