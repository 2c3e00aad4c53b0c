"""The words that tables and code share: arms, designs, measures, roles and verdicts.

Members are strings, so that they can stand in tables, JSON and messages as they are.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

SAMPLER = "A"
"""The model that drew the pictures."""
ATTRIBUTOR = "leverage"
"""How influence is computed where nothing is said: best on banks of seeds that chose nothing."""

UNLEARNING = "combined_matching"
"""How a model is made to forget unless another method is asked for: the best of those that need no
answer, on a seed that no result uses (docs/how-to/unlearning.md)."""


class Role(StrEnum):
    """What a prompt is there for."""

    QUERY = "query"
    CONTROL = "control"
    """A positive control: the images that it depends on are known."""


class Gate(StrEnum):
    """What the quality gate says of the generator's pictures."""

    PASSED = "passed"
    FAILED = "failed"
    UNJUDGED = "cannot judge"
    """The judge is too often wrong about real photos to say anything about generated ones, or there
    are too few pictures."""
    CANNOT_DRAW = "cannot draw"
    """Pictures have next to nothing to do with their prompts: there is nothing to attribute."""


class Arm(StrEnum):
    """How the images of a forget set were chosen; a user may register further arms."""

    TARGETED = "targeted"
    FAMILY = "family"
    RANDOM_UNIFORM = "random_uniform"
    RANDOM_CANDIDATE = "random_candidate"
    LEAST_SIMILAR = "least_similar"
    IDS = "ids"


DECISIVE = (Arm.TARGETED, Arm.FAMILY)
"""The arms expected to change their own prompt by far the most; see `is_decisive`."""
ALONE = (Arm.FAMILY, Arm.IDS)
"""The arms whose sets are not made for a prompt that is asked about."""


def arm_of_ranking(ranking: str, first: str) -> str:
    """Return the arm of the images that a ranking puts first: one of its own beside the first's.

    Examples
    --------
    >>> arm_of_ranking("fusion", first="fusion"), arm_of_ranking("dtrak", first="fusion")
    ('targeted', 'targeted:dtrak')
    >>> arm_of_ranking("scores:/home/me/influence.parquet", first="fusion")
    'targeted:scores:influence'
    """
    if ranking == first:
        return Arm.TARGETED.value
    kind, colon, place = ranking.rpartition(":")
    name = f"{kind}{colon}{PurePath(place).stem}" if kind in ("scores", "fitted") else ranking
    return f"{Arm.TARGETED}:{name.replace('/', '_')}"


def is_targeted(arm: str) -> bool:
    """Tell whether an arm is that of the images that a ranking puts first, any ranking."""
    return arm.partition(":")[0] == Arm.TARGETED


def is_decisive(arm: str) -> bool:
    """Tell whether an arm is expected to change its own prompt by far the most."""
    return is_targeted(arm) or arm == Arm.FAMILY


class Baseline(StrEnum):
    """What stands in the column ``arm`` where no set of one arm was removed."""

    NONE = "none"
    """Models that have the prompt's own images (naive design)."""
    FULL = "full"
    """The model trained on everything (before-after design)."""
    RESEED = "reseed"
    """A model trained on everything with another seed (before-after design)."""
    ANY_SET = "any_set"
    """Forget sets of all arms alike (utility)."""


class Design(StrEnum):
    """What an effect was estimated from."""

    RANDOMISED = "randomised"
    """Models without a set against models with it, out of one randomised trial."""
    DIFFERENCE = "randomised-difference"
    """How much more the sets of one arm do than those of another, in the same trial."""
    INCREMENT = "randomised-increment"
    """What a nested set adds to the next smaller one."""
    NAIVE = "naive"
    """Models without a set against the model that drew the pictures."""
    BEFORE_AFTER = "before-after"
    """One model without all sets against one with them: the study's design."""
    BEFORE_AFTER_NAIVE = "before-after-naive"
    """The same against the model that drew the pictures."""


class Measure(StrEnum):
    """What is read off a model for one query."""

    NLL = "nll"
    LOSS = "loss"
    DISSIMILARITY = "dissimilarity"
    REGENERATION_MSE = "regeneration_mse"
    REGENERATION_SSIM = "regeneration_ssim"
    REGENERATION_COSINE = "regeneration_cosine"
    REFERENCE_COSINE = "reference_cosine"


PRIMARY = (Measure.NLL, Measure.LOSS, Measure.DISSIMILARITY)
"""The measures that a trial can be about, of which a run has one: larger is worse."""


def held_out(measure: str) -> str:
    """Return the name of a primary measure of held-out pairs: heldout_nll."""
    return f"heldout_{measure}"


def removed(measure: str) -> str:
    """Return the name of a primary measure of the removed images themselves: removed_nll."""
    return f"removed_{measure}"


def other_prompts(measure: str) -> str:
    """Return the name of a primary measure of the other prompts' pictures: nll_other_prompts."""
    return f"{measure}_other_prompts"


def nearest_prompt(measure: str) -> str:
    """Return the name of a primary measure of the most similar prompt's pictures."""
    return f"{measure}_nearest_prompt"


class Verdict(StrEnum):
    """What is said of a query."""

    ATTRIBUTABLE = "attributable"
    NOT_ATTRIBUTABLE = "not attributable"
    UNDECIDED = "undecided"
    WITHHELD = "withheld"
    """Nothing is said of a query, whatever the tests say: the run cannot be trusted (`Doubt`)."""


class Doubt(StrEnum):
    """Why a run cannot be trusted; also the codes of the notes that say so."""

    CANNOT_DRAW = "generator-cannot-draw"
    CONTROL_UNSEEN = "control-failed"
    """Removing images that are known to matter had no visible effect."""
    WEAK = "generator-weak"
    """Pictures often do not show what was asked for: a warning, which withholds nothing."""


WITHHOLDING = (Doubt.CANNOT_DRAW, Doubt.CONTROL_UNSEEN)
"""The doubts under which no verdict is given."""


class Group(StrEnum):
    """The pairs on which unlearning is held against exact retraining."""

    FORGET = "forget"
    """The images of the forget set."""
    QUERY = "query"
    """Pictures that the model drew."""
    RETAINED = "retained"
    """Training images that are not in the forget set."""
    HELD_OUT = "held_out"
    """Pairs that no model was trained on."""


class Reference(StrEnum):
    """What stands in the column ``method`` of models that no method of unlearning made."""

    FULL = "full"
    """The model before: trained on the forget set, too."""
    TWIN = "twin"
    """Its exact retraining without the forget set: same seed, same order."""
    OTHER_SEED = "other seed"
    """In results: what the twins of the other seeds predict."""
    OTHER_SET = "other set"
    """The control of forgetting the wrong images: an exact retraining without a random set."""


class Fidelity(StrEnum):
    """What is said of a method of unlearning, by rho and its 95 % interval."""

    HARMS = "harms"
    """The interval is below 0, or the model gives no finite number: worse than doing nothing."""
    SAME = "not separable from nothing"
    """The interval holds 0."""
    PARTIAL = "partial"
    """The interval is above 0."""
    FAITHFUL = "faithful"
    """The interval is above 0 and rho at least 0.9."""
    UNKNOWN = "unknown"
    """There is no interval."""


class Attack(StrEnum):
    """How a membership attacker scores a pair."""

    LOSS = "loss"
    """By the model's own value: the lower, the likelier it was trained on."""
    CALIBRATED = "calibrated"
    """By that against models that never saw the pair: how hard it is counts no longer."""
