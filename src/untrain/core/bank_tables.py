"""The tables of a bank, of groups of images, and of their shares."""

from __future__ import annotations

from dataclasses import replace

from untrain.core.columns import (
    GENERATION,
    IMAGE,
    MODEL,
    PROMPT,
    TRAINING,
    integer,
    number,
    text,
)
from untrain.core.schema import Column, Table

BANK_MODELS = Table(
    "bank/models",
    "a model of the bank",
    (
        MODEL,
        number("share", "Of the training images taken out, 0 to 1; 0 of the model full."),
        integer("draw", "Which draw of this share, from 0."),
        *TRAINING,
    ),
)
BANK_OUTCOMES = Table(
    "bank/outcomes",
    "a query measured in a model of the bank",
    (
        MODEL,
        PROMPT,
        GENERATION,
        text("measure", "The primary measure of the run: nll, loss or dissimilarity."),
        number("value", "In the measure's unit; higher is worse."),
    ),
)
GROUP_OF_IMAGE = Table(
    "groups",
    "a training image and its group, in a folder of groups/",
    (IMAGE, text("group", "The group that it leaves with.")),
)
GROUP_MODELS = Table(
    "models",
    "a model without some of the groups, in a folder of groups/",
    (
        MODEL,
        text(
            "kind",
            "draw: without random groups; full and empty: on everything and on nothing; "
            "leave-one-out: without one group.",
            values=("draw", "full", "empty", "leave-one-out"),
        ),
        number("share", "Of a draw: the chance of each group to leave, 0 to 1.", nullable=True),
        integer("draw", "Which draw of this share, from 0; or the number of the group left out."),
        *TRAINING,
    ),
)
GROUP_OUTCOMES = Table(
    "outcomes",
    "a query, or the held-out pairs, measured in such a model",
    (
        MODEL,
        replace(PROMPT, nullable=True, meaning="The prompt; missing of held-out pairs."),
        replace(GENERATION, nullable=True, meaning="The picture; missing of held-out pairs."),
        text("measure", "The primary measure of the run; heldout_ of the mean of those pairs."),
        number("value", "In the measure's unit; higher is worse."),
    ),
)


def _with_limits(name: str, meaning: str) -> tuple[Column, ...]:
    """Return the columns of an estimate and its limits."""
    return (
        number(name, meaning, nullable=True),
        number(f"{name}_low", f"Lower 95 % limit of {name}.", nullable=True),
        number(f"{name}_high", f"Upper 95 % limit of {name}.", nullable=True),
    )


SHARES = Table(
    "results/shares",
    "what a group is worth to something; the file is results/shares-<attribute>.parquet",
    (
        text(
            "scope",
            "overall: the mean over prompts, intervals over prompts too; these_prompts: the same "
            "for these very prompts; held_out: the held-out pairs; prompt; picture.",
            values=("overall", "these_prompts", "held_out", "prompt", "picture"),
        ),
        replace(PROMPT, nullable=True, meaning="The prompt; missing of means and held_out."),
        replace(GENERATION, nullable=True, meaning="The picture; missing but of picture."),
        text("group", "The group."),
        integer("images", "How many training images it has."),
        *_with_limits("shapley", "What it adds, in the run's unit: Shapley, by regression."),
        number("p_value", "Two-sided, of shapley being zero.", nullable=True),
        number("p_holm", "The same adjusted over the groups (Holm).", nullable=True),
        text(
            "status",
            "Whether shapley is told from zero (p_holm of 0.05 or less); unknown where nothing is "
            "known of its uncertainty, nothing-learnt where there is nothing to share out.",
            values=("separable", "not-separable", "unknown", "nothing-learnt"),
        ),
        *_with_limits("share", "shapley as a part of what was learnt; may be negative."),
        *_with_limits("owen", "Shapley once more, by Owen's integral."),
        *_with_limits("banzhaf", "Banzhaf, by maximum sample reuse."),
        *_with_limits("last", "What it adds where each other group is there by chance 0.9."),
        number("leave_one_out", "What is lost if it is the only one to leave.", nullable=True),
        number(
            "from_scores",
            "What the scores of an attributor say it adds, in the unit; missing if uncalibrated.",
            nullable=True,
        ),
        number(
            "share_from_scores", "Its part of what they say that all groups add.", nullable=True
        ),
    ),
)
