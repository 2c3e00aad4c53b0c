"""Equivalent random removal: how many random images do as much harm as the chosen ones?

Wang et al. (2024, Data Attribution for Text-to-Image Models by Unlearning Synthesized Images) put
an attribution into images: removing the 500 that they chose had the effect of 57,500 random ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.core.vocabulary import Arm, Baseline, Design, is_decisive
from untrain.evaluation.measurement import primary

FULL = Baseline.FULL
DESIGNS = (
    Design.RANDOMISED,
    Design.BEFORE_AFTER,
)  # cross-fitted: not compared with the model that generated the pictures


class RandomBank(Protocol):
    """What is needed of a bank of random subsets (`untrain.banks.bank.Bank`)."""

    @property
    def models(self) -> pd.DataFrame: ...
    @property
    def kept(self) -> np.ndarray: ...
    @property
    def outcomes(self) -> pd.DataFrame: ...


@dataclass(frozen=True)
class Equivalent:
    """How many images, removed at random, have the same effect as a removal.

    Attributes
    ----------
    effect : float
        Of the removal: bits per image token, mean over prompts.
    images : float
        The equivalent number; infinite where even ``most`` do less, 0 where there is no harm.
    low, high : float
        95 % interval over models and prompts; infinite as ``images``.
    most : int
        The largest number that was removed at random.
    """

    effect: float
    images: float
    low: float
    high: float
    most: int

    def in_words(self) -> str:
        """Return the number with its interval, for people."""
        ends = [self._number(end) for end in (self.low, self.high)]
        if ends[0] == ends[1]:
            return ends[0]
        return f"{self._number(self.images)} (95 % interval: {ends[0]} to {ends[1]})"

    def _number(self, images: float) -> str:
        return f"{images:,.0f}" if math.isfinite(images) else f"more than {self.most:,}"


@dataclass(frozen=True)
class _Levels:
    """Changes in NLL by share of the data removed, smallest first.

    ``removed``: images removed, the mean over a share's models; ``changes``: for each share an
    array (models, prompts), bits per token more than under the model trained on everything.
    """

    removed: np.ndarray
    changes: list[np.ndarray]

    def means(self, prompts: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        """Return each share's mean over ``prompts`` (columns) and its models, resampled or not."""
        found = []
        for change in self.changes:
            by_model = change[:, prompts].mean(axis=1)
            if generator is not None:
                by_model = by_model[generator.integers(len(by_model), size=len(by_model))]
            found.append(by_model.mean())
        return np.array(found)

    def curve(self, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the monotone curve through nothing removed: numbers of images and changes."""
        from sklearn.isotonic import isotonic_regression

        weights = [1.0, *(float(len(change)) for change in self.changes)]
        levels = isotonic_regression(np.array([0.0, *means]), sample_weight=weights, y_min=0.0)
        return np.array([0.0, *self.removed]), levels


def random_curve(
    bank: RandomBank, prompts: Sequence[str], draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return how much worse models are at the queries without random subsets of the data.

    Returns
    -------
    DataFrame
        One row per share: share, removed (images), models, change (bits per image token more than
        the model trained on everything, mean over models and prompts), low, high (95 %: percentile
        bootstrap over models and prompts), level (the change made monotone, as in
        `equivalent_removal`).
    """
    levels = _levels(bank, list(prompts))
    generator = rng("random-curve", seed)
    everyone = np.arange(len(prompts))
    drawn = np.array(
        [levels.means(generator.choice(everyone, len(everyone)), generator) for _ in range(draws)]
    )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    shares = sorted(bank.models.loc[bank.models["share"] > 0, "share"].unique())
    change = levels.means(everyone, None)
    return pd.DataFrame(
        {
            "share": shares,
            "removed": levels.removed,
            "models": [len(change) for change in levels.changes],
            "change": change,
            "low": low,
            "high": high,
            "level": levels.curve(change)[1][1:],
        }
    )


def equivalent_removal(
    bank: RandomBank,
    effects: pd.Series,
    spread: float = 0.0,
    draws: int = 2000,
    seed: int = 0,
) -> Equivalent:
    """Return how many images, removed at random, do as much harm as a removal did.

    The mean change in NLL of the prompts' queries, relative to the model trained on everything, is
    modelled as an increasing function of the number removed: isotonic regression over the shares
    of the bank, linear between them, zero at zero. It is solved for the effect. It is not
    extrapolated beyond the largest share.

    The interval is a percentile bootstrap over the models of each share and over the prompts, which
    are resampled together for the curve and the effects. There is one model trained on everything,
    paired with all others: its luck is not in the interval. Few shares make the curve coarse:
    below the smallest it is a straight line.

    Parameters
    ----------
    bank : Bank
        With the model ``full`` and, better, several shares.
    effects : Series
        Bits per image token by prompt_id: how much worse the removal made each prompt's queries.
    spread : float
        Standard deviation of the mean effect that prompts share, such as the trial's ``null_sd``,
        added to the bootstrap; NaN counts as none.
    draws : int
        Bootstrap draws.
    seed : int
        Seed of the bootstrap.

    Raises
    ------
    InputError
        There are no effects, or the bank lacks the model trained on everything or a prompt.
    """
    if effects.empty:
        raise InputError("no effect to compare with random removals: expected one per prompt")
    levels = _levels(bank, [str(prompt_id) for prompt_id in effects.index])
    values = effects.to_numpy(np.float64)
    everyone = np.arange(len(values))
    images = _solve(*levels.curve(levels.means(everyone, None)), float(values.mean()))
    generator = rng("equivalent", seed)
    drawn = np.empty(draws)
    for draw in range(draws):
        prompts = generator.choice(everyone, len(everyone))
        effect = values[prompts].mean() + np.nan_to_num(spread) * generator.standard_normal()
        drawn[draw] = _solve(*levels.curve(levels.means(prompts, generator)), float(effect))
    # A quantile that is one of the draws: between a number and infinity there is no other.
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    most = round(float(levels.removed[-1]))
    return Equivalent(float(values.mean()), images, float(low), float(high), most)


def _solve(removed: np.ndarray, levels: np.ndarray, effect: float) -> float:
    """Return the smallest number of images at which the curve reaches the effect."""
    if effect <= 0:
        return 0.0
    if effect > levels[-1]:
        return math.inf
    right = int(np.searchsorted(levels, effect))
    left = right - 1
    part = (effect - levels[left]) / (levels[right] - levels[left])
    return float(removed[left] + part * (removed[right] - removed[left]))


def _levels(bank: RandomBank, prompts: list[str]) -> _Levels:
    models = bank.models
    if FULL not in set(models["model_id"]) or not (models["share"] > 0).any():
        raise InputError(
            "the bank has no model trained on everything: give `untrain bank` several "
            "--share, such as --share 0.05 --share 0.2 --share 0.5"
        )
    cells = bank.outcomes.groupby(["model_id", "prompt_id"])["value"].mean().unstack("prompt_id")
    absent = [prompt_id for prompt_id in prompts if prompt_id not in cells]
    if absent:
        raise InputError(
            f"the bank was not measured on prompt {absent[0]}: run `untrain bank` again"
        )
    table = cells.loc[list(models["model_id"]), prompts]
    change = (table - table.loc[FULL]).to_numpy(np.float64)
    share, removed = models["share"].to_numpy(), (~bank.kept).sum(axis=1)
    shares = sorted(set(share[share > 0]))
    return _Levels(
        np.array([removed[share == each].mean() for each in shares]),
        [change[share == each] for each in shares],
    )


def equivalent_table(
    bank: RandomBank,
    effects: pd.DataFrame,
    sets: pd.DataFrame,
    draws: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return the equivalent random removal for each arm of chosen images and each size.

    Parameters
    ----------
    bank : Bank
    effects : DataFrame
        As ``results/effects.parquet``: rows of the randomised or the before–after design count.
    sets : DataFrame
        The run's forget sets, one row per image.
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    list of dict
        design, arm, k (None: sets of all sizes at once), removed (images, mean of the sets),
        prompts, effect, equivalent, low, high (images; None = more than ``most``), most, words, and
        ``curve``: the rows of `random_curve` for the same prompts. Values are plain, for JSON.
    """
    chosen = effects[
        effects["design"].isin(DESIGNS)
        & effects["arm"].map(_is_chosen).astype(bool)
        & (effects["measure"] == primary(effects))
        & effects["effect"].notna()
    ]
    found: list[dict[str, Any]] = []
    keys = ["design", "arm", "k"]
    for key, rows in chosen.groupby(keys, sort=False, dropna=False):
        design, arm = str(key[0]), str(key[1])
        size = rows["k"].iloc[0]
        k = None if pd.isna(size) else int(size)
        of_prompt = rows[rows["prompt_id"].notna()].set_index("prompt_id")["effect"]
        if of_prompt.empty:
            continue
        overall = rows.loc[rows["prompt_id"].isna(), "null_sd"]
        spread = float(overall.iloc[0]) if len(overall) else 0.0
        result = equivalent_removal(bank, of_prompt, spread, draws, seed)
        curve = random_curve(bank, [str(p) for p in of_prompt.index], draws, seed)
        found.append(
            {
                "design": design,
                "arm": arm,
                "k": k,
                "removed": _size(sets, arm, k),
                "prompts": len(of_prompt),
                "effect": result.effect,
                "equivalent": _finite(result.images),
                "low": _finite(result.low),
                "high": _finite(result.high),
                "most": result.most,
                "words": result.in_words(),
                "curve": curve.to_dict("records"),
            }
        )
    return found


def _is_chosen(arm: str) -> bool:
    """Tell whether the images of an arm were chosen, not drawn."""
    return is_decisive(arm) or arm == Arm.IDS


def _size(sets: pd.DataFrame, arm: str, k: int | None) -> float:
    """Return how many images the arm's sets up to k hold, on average; None: all of them at once."""
    of_arm = sets[sets["arm"] == arm]
    if k is None:
        return float(of_arm["image_id"].nunique())
    together = of_arm.groupby("forget_set_id")["prompt_id"].nunique().max() > 1
    sets_of = ["draw"] if together else ["prompt_id", "draw"]
    return float(of_arm[of_arm["k"] <= k].groupby(sets_of, dropna=False).size().mean())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
