"""The tables of a ladder: methods of unlearning beside exact twins."""

from __future__ import annotations

from dataclasses import replace

from untrain.core.columns import (
    IMAGE,
    MODEL,
    SETS_PROMPT,
    TRAINING,
    integer,
    number,
    text,
)
from untrain.core.schema import Table
from untrain.core.vocabulary import Attack, Fidelity, Group

_KIND = text("kind", "How its images were chosen: an arm, planted, user, …")
_METHOD = text("method", "The method of unlearning, with its options.")
_BUDGET = number("budget", "What it might spend, a share of one training, 0 to 1.")
_SPENT = number("spent", "What it spent, a share of one training in pairs passed.", nullable=True)
_SECONDS = number("seconds", "What it took; missing where nothing was measured.", nullable=True)
_GROUP = text("group", "forget, query, retained or held_out.", values=tuple(Group))
LADDER_OUTCOMES = Table(
    "ladder/outcomes",
    "a pair measured in a model before, after unlearning, or in its exact twin",
    (
        text("model_id", "The model that a method started from, such as B00; one a seed."),
        text("set_id", "The forget set."),
        _KIND,
        replace(_METHOD, meaning=f"{_METHOD.meaning} full: the model before; twin: retrained."),
        replace(_BUDGET, meaning=f"{_BUDGET.meaning} 0 of full, 1 of twin."),
        _SPENT,
        _SECONDS,
        _GROUP,
        text("item", "The image's id; of a query prompt_id#generation."),
        number(
            "value",
            "The primary measure of the run; higher is worse. Missing where it is not finite.",
            nullable=True,
        ),
    ),
)
LADDER_TWINS = Table(
    "ladder/twins",
    "a model that forgets, or its exact retraining without a forget set",
    (
        replace(MODEL, meaning="The model that methods start from; one a seed."),
        text("set_id", "What it was trained without; missing of the model itself.", nullable=True),
        *TRAINING,
    ),
)
LADDER_SETS = Table(
    "ladder/sets",
    "an image of a forget set of a ladder",
    (text("set_id", "The forget set."), _KIND, SETS_PROMPT, IMAGE),
)
_LOW = number("low", "Lower limit, 95 %; missing where there is no interval.", nullable=True)
_HIGH = number("high", "Upper limit, 95 %; missing where there is no interval.", nullable=True)
_ALL_KINDS = replace(_KIND, nullable=True, meaning=f"{_KIND.meaning} Missing: all kinds together.")
_COUNTS = (
    integer("models", "Different models."),
    integer("sets", "Different forget sets."),
    integer("clusters", "Pairs of a model and a set, each with a twin of its own."),
)
FIDELITY = Table(
    "results/fidelity",
    "how near a method at a budget comes to exact retraining, on a group of pairs",
    (
        _METHOD,
        _BUDGET,
        _ALL_KINDS,
        _GROUP,
        number(
            "rho",
            "1: as the twin; 0: as before; below 0: further from the twin than before. Missing "
            "where the twin did not move or a model diverged.",
            nullable=True,
        ),
        _LOW,
        _HIGH,
        text("verdict", "By rho and its interval.", values=tuple(Fidelity)),
        number("reach", "How far along the twin's move; 1: as far, above: over.", nullable=True),
        number("across", "Squared move across the twin's, over its square.", nullable=True),
        number("moved", "Root mean square of the move, over the twin's.", nullable=True),
        number("shift", "Mean move, in the measure's unit; above 0: worse.", nullable=True),
        number("twin_shift", "Mean move of the twin, in the measure's unit."),
        _SPENT,
        _SECONDS,
        integer("items", "Pairs measured, over all clusters."),
        *_COUNTS,
        integer("diverged", "Clusters in which a value was not finite."),
    ),
)
MEMBERSHIP = Table(
    "results/membership",
    "what an attacker finds out about the forget set after a method at a budget; means of clusters",
    (
        replace(_METHOD, meaning=f"{_METHOD.meaning} full: the model before."),
        _BUDGET,
        _ALL_KINDS,
        text("attack", "How pairs are scored.", values=tuple(Attack)),
        *(
            number(f"{what}{suffix}", f"{words} {model}, 0 to 1.")
            for what, words in (
                ("auc", "Area under the ROC curve, forget images against held-out pairs:"),
                ("tpr", "True positives at 1 % false positives:"),
            )
            for suffix, model in (
                ("", "the unlearned model"),
                ("_twin", "its exact twin"),
                ("_full", "the model before"),
            )
        ),
        number("beyond", "AUC minus the twin's; 0: no more is known than of the twin."),
        replace(_LOW, meaning=f"Of beyond. {_LOW.meaning}"),
        replace(_HIGH, meaning=f"Of beyond. {_HIGH.meaning}"),
        integer("members", "Forget images, over all clusters."),
        integer("others", "Held-out pairs, over all clusters."),
        *_COUNTS,
    ),
)
DISTANCES = Table(
    "results/distances",
    "how far unlearned models and their twins differ as distributions",
    (
        replace(_METHOD, meaning=f"{_METHOD.meaning} full: the model before."),
        _BUDGET,
        _GROUP,
        number(
            "ks",
            "Kolmogorov–Smirnov distance of the items' values in a model and in its twin, 0 to 1; "
            "mean of clusters.",
            nullable=True,
        ),
        number("ks_p", "Its two-sided p, median of clusters; depends on the items.", nullable=True),
        number("klom", "KLoM in nats; missing with fewer than 4 models a set.", nullable=True),
        number("klom_floor", "KLoM of one half of the twins against the other.", nullable=True),
        number("ulira", "AUC of U-LiRA; 0.5: not to be told from twins.", nullable=True),
        number(
            "epsilon",
            "Of the NeurIPS 2023 challenge, median of the items; missing with fewer than 8 models "
            "a set, or if the median item is told apart without error.",
            nullable=True,
        ),
        *_COUNTS,
    ),
)
