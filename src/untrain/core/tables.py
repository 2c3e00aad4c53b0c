"""The tables of a run folder: their columns, types, units, and which values may be missing.

A value that does not exist is missing (NA), never an empty string, a zero or −1: an effect without
a ``prompt_id`` is the mean over prompts, a measure without a ``generation`` is not of one picture.
`TABLES` names every table by its place in the run folder, without the suffix.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from untrain.core.schema import Column, Kind, Table
from untrain.core.vocabulary import Attack, Fidelity, Group, Role, Verdict


def _text(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.TEXT, meaning, **more)


def _integer(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.INTEGER, meaning, **more)


def _number(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.NUMBER, meaning, **more)


def _flag(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.FLAG, meaning, **more)


_PROMPT = _text("prompt_id", "The prompt: p00, p01, … of queries, c00, … of controls.")
_IMAGE = _text("image_id", "The training image, by its id in the catalogue.")
_GENERATION = _integer("generation", "Number of the prompt's picture, from 0.")
_MODEL = _text("model_id", "A drew the pictures; B00, B01, … are the models compared.")
_SET = _text(
    "forget_set_id",
    "The forget set: arm/prompt/k10, with /d0 for its draw, arm+arm/prompt/k10 of shared images.",
)
_SETS_PROMPT = replace(
    _PROMPT, nullable=True, meaning="The prompt that it was made for; missing of a user's list."
)
_FAMILY = _text(
    "family", "The family that prompt or image is known to be of; missing if none.", nullable=True
)

PROMPTS = Table(
    "prompts",
    "a prompt",
    (
        _PROMPT,
        _text("prompt", "Its text."),
        _FAMILY,
        _text("role", "query, or control: a positive control.", values=tuple(Role)),
        _flag("seen", "Whether the text is the caption of a training image.", optional=True),
    ),
    suffix=".csv",
)
CATALOG = Table(
    "catalog",
    "a training image",
    (
        _IMAGE,
        _text("caption", "Its caption."),
        _text("content", "Hash of its content, hexadecimal: equal for identical images."),
    ),
)
CAPTIONS = Table(
    "captions",
    "a training image that the report shows",
    (_IMAGE, _text("caption", "Its caption."), replace(_FAMILY, optional=True)),
)
RETRIEVAL = Table(
    "retrieval",
    "a candidate of a prompt",
    (
        _PROMPT,
        _IMAGE,
        _integer("rank", "Place among the prompt's candidates, from 1."),
        _number("score", "The retriever's; comparable within a prompt. Higher is better."),
    ),
)
COMPARISON = Table(
    "comparison",
    "a generated picture with a candidate",
    (_PROMPT, _GENERATION, _IMAGE),
    others="A metric, in its own unit; missing where it is undefined.",
)
JUDGED = Table(
    "judged",
    "a generated picture and an attribute that its prompt asks for",
    (
        _PROMPT,
        _GENERATION,
        _text("attribute", "article, colour, or prompt."),
        _text("asked", "What the prompt asks for; of prompt: its id."),
        _text("seen", "What the judge takes the picture to show; of prompt: which it fits best."),
        _number(
            "confidence",
            "The judge's probability; of prompt: the share of pairs put right.",
        ),
        _flag("answered", "Whether it was sure enough to be counted."),
    ),
)
COPIES = Table(
    "copies",
    "a generated picture with its nearest training image",
    (
        _PROMPT,
        _GENERATION,
        _IMAGE,
        _number("distance", "1 − cosine of their features, 0 to 2."),
        _number("ratio", "The distance over that to further neighbours.", nullable=True),
        _number("p_value", "How often training images are as near to each other.", nullable=True),
        _number(
            "agreement",
            "Correlation of the two pictures laid over each other, −1 to 1; missing if not laid.",
            nullable=True,
        ),
        _number("difference", "Root mean square of their difference, 0 to 255.", nullable=True),
        _flag("near_copy", "Whether the picture is called a near copy of the image."),
    ),
)
RANKING = Table(
    "ranking",
    "an image's place in a ranking for one prompt, among its candidates or in the whole catalogue",
    (
        _text("method", "The ranking: a rule on metrics, an attributor, or a file of scores."),
        _PROMPT,
        _IMAGE,
        _number("score", "Higher: removing the image makes the picture worse.", nullable=True),
        _integer("rank", "Place within method and prompt, from 1."),
    ),
)
FORGET_SETS = Table(
    "forget_sets",
    "an image of a forget set; of one that rankings share, a row for each of their arms",
    (
        _SET,
        _text("arm", "How the image was chosen: targeted:dtrak by a ranking beside the first."),
        _SETS_PROMPT,
        _integer("draw", "Number of the draw in random arms, from 0; 0 in others."),
        _integer("k", "The nested size that this set is the last increment of, at least 1."),
        _IMAGE,
        _integer("rank", "The image's place in the ranking; missing if not ranked.", nullable=True),
        _text("reason", "Why it is in the set."),
    ),
)
MODELS = Table(
    "models",
    "a trained model",
    (
        _MODEL,
        _integer("seed", "Seed of its training; the same of paired models."),
        _text("fingerprint", "What it is known by."),
        _text("path", "Its folder, from the run folder."),
    ),
)
MODEL_A = replace(MODELS, name="model_a", meaning="the model that drew the pictures")
REMOVALS = Table("removals", "a forget set that a model was trained without", (_MODEL, _SET))
MEASURES = Table(
    "results/measures",
    "a value read off a model",
    (
        _MODEL,
        replace(
            _PROMPT, nullable=True, meaning="The prompt of the pictures; missing of held-out pairs."
        ),
        replace(_GENERATION, nullable=True, meaning="The picture; missing of a mean over pairs."),
        _text("measure", "nll, loss, dissimilarity, …; heldout_ and removed_ are of those pairs."),
        _number("value", "In the measure's unit."),
    ),
)
EFFECTS = Table(
    "results/effects",
    "an effect of removing the sets of an arm",
    (
        _text("design", "What it was estimated from."),
        _text("arm", "The arm, or a baseline: none, full, reseed, any_set."),
        _text(
            "control", "The arm it is compared with in a difference; else missing.", nullable=True
        ),
        replace(_PROMPT, nullable=True, meaning="The prompt; missing of the mean over prompts."),
        _text("measure", "The measure."),
        _number(
            "effect",
            "Out minus in, in the measure's unit; missing if unknown.",
            nullable=True,
            was="estimate",
        ),
        _number("low", "Lower limit, 95 %; missing where there is no finite one.", nullable=True),
        _number("high", "Upper limit, 95 %; missing where there is no finite one.", nullable=True),
        _number("p_value", "One-sided, against effects above zero; 0 to 1.", nullable=True),
        _integer("k", "The nested size; missing where sets of all sizes count.", nullable=True),
        _number("two_sided_p", "Two-sided, 0 to 1.", nullable=True),
        _number("null_sd", "Standard deviation of the effect where there is none.", nullable=True),
        _integer("n_sets", "Different forget sets; missing in naive designs.", nullable=True),
    ),
)
GROUPS = replace(
    EFFECTS,
    name="results/groups",
    meaning="an effect over a group of prompts",
    columns=(
        *EFFECTS.columns,
        _text("group", "seen: prompts that are training captions; new: the others."),
    ),
)
VERDICTS = Table(
    "results/verdicts",
    "a verdict on a prompt",
    (
        _PROMPT,
        _text(
            "verdict",
            "What is said of it; withheld where the run cannot be trusted.",
            values=tuple(Verdict),
        ),
        _text("reason", "A sentence with the numbers."),
        _number("p_value", "One-sided, of the prompt's own effect.", nullable=True),
        _number("p_holm", "The same adjusted over the prompts (Holm).", nullable=True),
        _text("arm", "Whose effect it is about, where rankings have arms each.", optional=True),
    ),
)
SIMILARITY = Table(
    "results/similarity_results",
    "the reference cosine of a prompt's pictures before (1) and after (2): the study's table",
    (
        _text("Folder", "The prompt, as the study named folders; missing of means.", nullable=True),
        *(
            _number(f"{name}_{when}", f"{name} cosine with the reference picture, −1 to 1.")
            for when in (1, 2)
            for name in ("Mean", "Min", "Max")
        ),
    ),
    suffix=".csv",
)
SIMILARITY_NAIVE = replace(SIMILARITY, name="results/similarity_results_naive")
BANK_MODELS = Table(
    "bank/models",
    "a model of the bank",
    (
        _MODEL,
        _number("share", "Of the training images taken out, 0 to 1; 0 of the model full."),
        _integer("draw", "Which draw of this share, from 0."),
        *MODELS.columns[1:],
    ),
)
BANK_OUTCOMES = Table(
    "bank/outcomes",
    "a query measured in a model of the bank",
    (
        _MODEL,
        _PROMPT,
        _GENERATION,
        _text("measure", "The primary measure of the run: nll, loss or dissimilarity."),
        _number("value", "In the measure's unit; higher is worse."),
    ),
)
GROUP_OF_IMAGE = Table(
    "groups",
    "a training image and its group, in a folder of groups/",
    (_IMAGE, _text("group", "The group that it leaves with.")),
)
GROUP_MODELS = Table(
    "models",
    "a model without some of the groups, in a folder of groups/",
    (
        _MODEL,
        _text(
            "kind",
            "draw: without random groups; full and empty: on everything and on nothing; "
            "leave-one-out: without one group.",
            values=("draw", "full", "empty", "leave-one-out"),
        ),
        _number("share", "Of a draw: the chance of each group to leave, 0 to 1.", nullable=True),
        _integer("draw", "Which draw of this share, from 0; or the number of the group left out."),
        *MODELS.columns[1:],
    ),
)
GROUP_OUTCOMES = Table(
    "outcomes",
    "a query, or the held-out pairs, measured in such a model",
    (
        _MODEL,
        replace(_PROMPT, nullable=True, meaning="The prompt; missing of held-out pairs."),
        replace(_GENERATION, nullable=True, meaning="The picture; missing of held-out pairs."),
        _text("measure", "The primary measure of the run; heldout_ of the mean of those pairs."),
        _number("value", "In the measure's unit; higher is worse."),
    ),
)


def _with_limits(name: str, meaning: str) -> tuple[Column, ...]:
    """Return the columns of an estimate and its limits."""
    return (
        _number(name, meaning, nullable=True),
        _number(f"{name}_low", f"Lower 95 % limit of {name}.", nullable=True),
        _number(f"{name}_high", f"Upper 95 % limit of {name}.", nullable=True),
    )


SHARES = Table(
    "results/shares",
    "what a group is worth to something; the file is results/shares-<attribute>.parquet",
    (
        _text(
            "scope",
            "overall: the mean over prompts, intervals over prompts too; these_prompts: the same "
            "for these very prompts; held_out: the held-out pairs; prompt; picture.",
            values=("overall", "these_prompts", "held_out", "prompt", "picture"),
        ),
        replace(_PROMPT, nullable=True, meaning="The prompt; missing of means and held_out."),
        replace(_GENERATION, nullable=True, meaning="The picture; missing but of picture."),
        _text("group", "The group."),
        _integer("images", "How many training images it has."),
        *_with_limits("shapley", "What it adds, in the run's unit: Shapley, by regression."),
        _number("p_value", "Two-sided, of shapley being zero.", nullable=True),
        _number("p_holm", "The same adjusted over the groups (Holm).", nullable=True),
        _text(
            "status",
            "Whether shapley is told from zero (p_holm of 0.05 or less); unknown where nothing is "
            "known of its uncertainty, nothing-learnt where there is nothing to share out.",
            values=("separable", "not-separable", "unknown", "nothing-learnt"),
        ),
        *_with_limits("share", "shapley as a part of what was learnt; may be negative."),
        *_with_limits("owen", "Shapley once more, by Owen's integral."),
        *_with_limits("banzhaf", "Banzhaf, by maximum sample reuse."),
        *_with_limits("last", "What it adds where each other group is there by chance 0.9."),
        _number("leave_one_out", "What is lost if it is the only one to leave.", nullable=True),
        _number(
            "from_scores",
            "What the scores of an attributor say it adds, in the unit; missing if uncalibrated.",
            nullable=True,
        ),
        _number(
            "share_from_scores", "Its part of what they say that all groups add.", nullable=True
        ),
    ),
)

_KIND = _text("kind", "How its images were chosen: an arm, planted, user, …")
_METHOD = _text("method", "The method of unlearning, with its options.")
_BUDGET = _number("budget", "What it might spend, a share of one training, 0 to 1.")
_SPENT = _number("spent", "What it spent, a share of one training in pairs passed.", nullable=True)
_SECONDS = _number("seconds", "What it took; missing where nothing was measured.", nullable=True)
_GROUP = _text("group", "forget, query, retained or held_out.", values=tuple(Group))
LADDER_OUTCOMES = Table(
    "ladder/outcomes",
    "a pair measured in a model before, after unlearning, or in its exact twin",
    (
        _text("model_id", "The model that a method started from, such as B00; one a seed."),
        _text("set_id", "The forget set."),
        _KIND,
        replace(_METHOD, meaning=f"{_METHOD.meaning} full: the model before; twin: retrained."),
        replace(_BUDGET, meaning=f"{_BUDGET.meaning} 0 of full, 1 of twin."),
        _SPENT,
        _SECONDS,
        _GROUP,
        _text("item", "The image's id; of a query prompt_id#generation."),
        _number(
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
        replace(_MODEL, meaning="The model that methods start from; one a seed."),
        _text("set_id", "What it was trained without; missing of the model itself.", nullable=True),
        *MODELS.columns[1:],
    ),
)
LADDER_SETS = Table(
    "ladder/sets",
    "an image of a forget set of a ladder",
    (_text("set_id", "The forget set."), _KIND, _SETS_PROMPT, _IMAGE),
)
_LOW = _number("low", "Lower limit, 95 %; missing where there is no interval.", nullable=True)
_HIGH = _number("high", "Upper limit, 95 %; missing where there is no interval.", nullable=True)
_ALL_KINDS = replace(_KIND, nullable=True, meaning=f"{_KIND.meaning} Missing: all kinds together.")
_COUNTS = (
    _integer("models", "Different models."),
    _integer("sets", "Different forget sets."),
    _integer("clusters", "Pairs of a model and a set, each with a twin of its own."),
)
FIDELITY = Table(
    "results/fidelity",
    "how near a method at a budget comes to exact retraining, on a group of pairs",
    (
        _METHOD,
        _BUDGET,
        _ALL_KINDS,
        _GROUP,
        _number(
            "rho",
            "1: as the twin; 0: as before; below 0: further from the twin than before. Missing "
            "where the twin did not move or a model diverged.",
            nullable=True,
        ),
        _LOW,
        _HIGH,
        _text("verdict", "By rho and its interval.", values=tuple(Fidelity)),
        _number("reach", "How far along the twin's move; 1: as far, above: over.", nullable=True),
        _number("across", "Squared move across the twin's, over its square.", nullable=True),
        _number("moved", "Root mean square of the move, over the twin's.", nullable=True),
        _number("shift", "Mean move, in the measure's unit; above 0: worse.", nullable=True),
        _number("twin_shift", "Mean move of the twin, in the measure's unit."),
        _SPENT,
        _SECONDS,
        _integer("items", "Pairs measured, over all clusters."),
        *_COUNTS,
        _integer("diverged", "Clusters in which a value was not finite."),
    ),
)
MEMBERSHIP = Table(
    "results/membership",
    "what an attacker finds out about the forget set after a method at a budget; means of clusters",
    (
        replace(_METHOD, meaning=f"{_METHOD.meaning} full: the model before."),
        _BUDGET,
        _ALL_KINDS,
        _text("attack", "How pairs are scored.", values=tuple(Attack)),
        *(
            _number(f"{what}{suffix}", f"{words} {model}, 0 to 1.")
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
        _number("beyond", "AUC minus the twin's; 0: no more is known than of the twin."),
        replace(_LOW, meaning=f"Of beyond. {_LOW.meaning}"),
        replace(_HIGH, meaning=f"Of beyond. {_HIGH.meaning}"),
        _integer("members", "Forget images, over all clusters."),
        _integer("others", "Held-out pairs, over all clusters."),
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
        _number(
            "ks",
            "Kolmogorov–Smirnov distance of the items' values in a model and in its twin, 0 to 1; "
            "mean of clusters.",
            nullable=True,
        ),
        _number(
            "ks_p", "Its two-sided p, median of clusters; depends on the items.", nullable=True
        ),
        _number("klom", "KLoM in nats; missing with fewer than 4 models a set.", nullable=True),
        _number("klom_floor", "KLoM of one half of the twins against the other.", nullable=True),
        _number("ulira", "AUC of U-LiRA; 0.5: not to be told from twins.", nullable=True),
        _number(
            "epsilon",
            "Of the NeurIPS 2023 challenge, median of the items; missing with fewer than 8 models "
            "a set, or if the median item is told apart without error.",
            nullable=True,
        ),
        *_COUNTS,
    ),
)

TABLES = {
    table.name: table
    for table in (
        *(PROMPTS, CATALOG, CAPTIONS, JUDGED, RETRIEVAL, COMPARISON, COPIES),
        *(RANKING, FORGET_SETS),
        *(MODEL_A, MODELS, REMOVALS, MEASURES, EFFECTS, GROUPS, VERDICTS),
        *(SIMILARITY, SIMILARITY_NAIVE, BANK_MODELS, BANK_OUTCOMES),
        *(LADDER_TWINS, LADDER_SETS, LADDER_OUTCOMES),
        *(FIDELITY, MEMBERSHIP, DISTANCES),
    )
}
"""Every table by name."""
