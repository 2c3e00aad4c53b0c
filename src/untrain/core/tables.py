"""The tables of a run folder: their columns, types, units, and which values may be missing.

A value that does not exist is missing (NA), never an empty string, a zero or −1: an effect without
a ``prompt_id`` is the mean over prompts, a measure without a ``generation`` is not of one picture.
`TABLES` names every table by its place in the run folder, without the suffix.
"""

from __future__ import annotations

from dataclasses import replace

from untrain.core.bank_tables import BANK_MODELS, BANK_OUTCOMES
from untrain.core.columns import (
    FAMILY,
    GENERATION,
    IMAGE,
    MODEL,
    PROMPT,
    SET,
    SETS_PROMPT,
    TRAINING,
    flag,
    integer,
    number,
    text,
)
from untrain.core.schema import Table
from untrain.core.unlearning_tables import (
    DISTANCES,
    FIDELITY,
    LADDER_OUTCOMES,
    LADDER_SETS,
    LADDER_TWINS,
    MEMBERSHIP,
)
from untrain.core.vocabulary import Role, Verdict

PROMPTS = Table(
    "prompts",
    "a prompt",
    (
        PROMPT,
        text("prompt", "Its text."),
        FAMILY,
        text("role", "query, or control: a positive control.", values=tuple(Role)),
        flag("seen", "Whether the text is the caption of a training image.", optional=True),
    ),
    suffix=".csv",
)
CATALOG = Table(
    "catalog",
    "a training image",
    (
        IMAGE,
        text("caption", "Its caption."),
        text("content", "Hash of its content, hexadecimal: equal for identical images."),
    ),
)
CAPTIONS = Table(
    "captions",
    "a training image that the report shows",
    (IMAGE, text("caption", "Its caption."), replace(FAMILY, optional=True)),
)
RETRIEVAL = Table(
    "retrieval",
    "a candidate of a prompt",
    (
        PROMPT,
        IMAGE,
        integer("rank", "Place among the prompt's candidates, from 1."),
        number("score", "The retriever's; comparable within a prompt. Higher is better."),
    ),
)
COMPARISON = Table(
    "comparison",
    "a generated picture with a candidate",
    (PROMPT, GENERATION, IMAGE),
    others="A metric, in its own unit; missing where it is undefined.",
)
JUDGED = Table(
    "judged",
    "a generated picture and an attribute that its prompt asks for",
    (
        PROMPT,
        GENERATION,
        text("attribute", "article, colour, or prompt."),
        text("asked", "What the prompt asks for; of prompt: its id."),
        text("seen", "What the judge takes the picture to show; of prompt: which it fits best."),
        number(
            "confidence",
            "The judge's probability; of prompt: the share of pairs put right.",
        ),
        flag("answered", "Whether it was sure enough to be counted."),
    ),
)
COPIES = Table(
    "copies",
    "a generated picture with its nearest training image",
    (
        PROMPT,
        GENERATION,
        IMAGE,
        number("distance", "1 − cosine of their features, 0 to 2."),
        number("ratio", "The distance over that to further neighbours.", nullable=True),
        number("p_value", "How often training images are as near to each other.", nullable=True),
        number(
            "agreement",
            "Correlation of the two pictures laid over each other, −1 to 1; missing if not laid.",
            nullable=True,
        ),
        number("difference", "Root mean square of their difference, 0 to 255.", nullable=True),
        flag("near_copy", "Whether the picture is called a near copy of the image."),
    ),
)
RANKING = Table(
    "ranking",
    "an image's place in a ranking for one prompt, among its candidates or in the whole catalogue",
    (
        text("method", "The ranking: a rule on metrics, an attributor, or a file of scores."),
        PROMPT,
        IMAGE,
        number("score", "Higher: removing the image makes the picture worse.", nullable=True),
        integer("rank", "Place within method and prompt, from 1."),
    ),
)
FORGET_SETS = Table(
    "forget_sets",
    "an image of a forget set; of one that rankings share, a row for each of their arms",
    (
        SET,
        text("arm", "How the image was chosen: targeted:dtrak by a ranking beside the first."),
        SETS_PROMPT,
        integer("draw", "Number of the draw in random arms, from 0; 0 in others."),
        integer("k", "The nested size that this set is the last increment of, at least 1."),
        IMAGE,
        integer("rank", "The image's place in the ranking; missing if not ranked.", nullable=True),
        text("reason", "Why it is in the set."),
    ),
)
MODELS = Table(
    "models",
    "a trained model",
    (
        MODEL,
        *TRAINING,
    ),
)
MODEL_A = replace(MODELS, name="model_a", meaning="the model that drew the pictures")
REMOVALS = Table("removals", "a forget set that a model was trained without", (MODEL, SET))
MEASURES = Table(
    "results/measures",
    "a value read off a model",
    (
        MODEL,
        replace(
            PROMPT,
            nullable=True,
            meaning="The prompt of the pictures; missing of held-out pairs.",
        ),
        replace(GENERATION, nullable=True, meaning="The picture; missing of a mean over pairs."),
        text("measure", "nll, loss, dissimilarity, …; heldout_ and removed_ are of those pairs."),
        number("value", "In the measure's unit."),
    ),
)
EFFECTS = Table(
    "results/effects",
    "an effect of removing the sets of an arm",
    (
        text("design", "What it was estimated from."),
        text("arm", "The arm, or a baseline: none, full, reseed, any_set."),
        text(
            "control", "The arm it is compared with in a difference; else missing.", nullable=True
        ),
        replace(PROMPT, nullable=True, meaning="The prompt; missing of the mean over prompts."),
        text("measure", "The measure."),
        number(
            "effect",
            "Out minus in, in the measure's unit; missing if unknown.",
            nullable=True,
            was="estimate",
        ),
        number("low", "Lower limit, 95 %; missing where there is no finite one.", nullable=True),
        number("high", "Upper limit, 95 %; missing where there is no finite one.", nullable=True),
        number("p_value", "One-sided, against effects above zero; 0 to 1.", nullable=True),
        integer("k", "The nested size; missing where sets of all sizes count.", nullable=True),
        number("two_sided_p", "Two-sided, 0 to 1.", nullable=True),
        number("null_sd", "Standard deviation of the effect where there is none.", nullable=True),
        integer("n_sets", "Different forget sets; missing in naive designs.", nullable=True),
    ),
)
GROUPS = replace(
    EFFECTS,
    name="results/groups",
    meaning="an effect over a group of prompts",
    columns=(
        *EFFECTS.columns,
        text("group", "seen: prompts that are training captions; new: the others."),
    ),
)
VERDICTS = Table(
    "results/verdicts",
    "a verdict on a prompt",
    (
        PROMPT,
        text(
            "verdict",
            "What is said of it; withheld where the run cannot be trusted.",
            values=tuple(Verdict),
        ),
        text("reason", "A sentence with the numbers."),
        number("p_value", "One-sided, of the prompt's own effect.", nullable=True),
        number("p_holm", "The same adjusted over the prompts (Holm).", nullable=True),
        text("arm", "Whose effect it is about, where rankings have arms each.", optional=True),
    ),
)
SIMILARITY = Table(
    "results/similarity_results",
    "the reference cosine of a prompt's pictures before (1) and after (2): the study's table",
    (
        text("Folder", "The prompt, as the study named folders; missing of means.", nullable=True),
        *(
            number(f"{name}_{when}", f"{name} cosine with the reference picture, −1 to 1.")
            for when in (1, 2)
            for name in ("Mean", "Min", "Max")
        ),
    ),
    suffix=".csv",
)
SIMILARITY_NAIVE = replace(SIMILARITY, name="results/similarity_results_naive")
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
