"""Training examples from a finished run: its sets and their effects, to fit weights on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from untrain.attribution.fitting import Examples, example_sets
from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.core.tables import PROMPTS, TABLES
from untrain.evaluation.measurement import primary


def read_examples(run: Path) -> Examples:
    """Return the sets of a finished run whose effect was measured and whose images were compared.

    Parameters
    ----------
    run : Path
        A run folder with the randomised design, whatever its measure.

    Raises
    ------
    InputError
        If the folder lacks a table, there is no such set, or all prompts' sets were removed as one.
    """
    comparison, retrieval = (_table(run, name) for name in ("comparison", "retrieval"))
    measure, sets, effects = single_effects(run)
    groups = prompt_groups(run)
    record = read_json(_needed(run, "run.json"))
    found = example_sets(comparison, retrieval, sets, effects, groups)
    if found.empty:
        raise InputError(
            f"{run}: no set of candidates has a measured effect; expected a run with the "
            "randomised design and an arm such as targeted or random_candidate"
        )
    return Examples(
        record.get("name", run.name),
        record.get("fingerprints", {}).get("catalog", ""),
        measure,
        record.get("generator", {}).get("unit", ""),
        found,
    )


def single_effects(run: Path) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """Return what a finished run measured of removing one prompt's images.

    Returns
    -------
    tuple of str, DataFrame and DataFrame
        The primary measure, the forget sets, and the effects of single prompts by the randomised
        design.

    Raises
    ------
    InputError
        If the folder lacks a table, or all prompts' sets were removed as one.
    """
    sets, effects = (_table(run, name) for name in ("forget_sets", "results/effects"))
    if (sets.groupby("forget_set_id")["prompt_id"].nunique() > 1).any():
        raise InputError(
            f"{run}: the sets of all prompts were removed together (removal.together), so no "
            "effect is that of one prompt's images; expected a run with a set for each prompt"
        )
    measure = primary(effects)
    single = (effects["measure"] == measure) & effects["prompt_id"].notna()
    known = (effects["design"] == "randomised") & effects["effect"].notna()
    return measure, sets, effects[single & known]


def _needed(run: Path, name: str) -> Path:
    path = run / name
    if not path.is_file():
        raise InputError(
            f"{run}: found no {name}; expected the folder of a finished run. Run the experiment "
            "to its end (it resumes where it stopped)"
        )
    return path


def _table(run: Path, name: str) -> pd.DataFrame:
    _needed(run, f"{name}.parquet")
    return TABLES[name].read(run)


def prompt_groups(run: Path) -> dict[str, str]:
    """Return, by prompt, the family or else the text: the groups of the cross-validation."""
    _needed(run, "prompts.csv")
    prompts = PROMPTS.read(run)
    groups = prompts["family"].fillna(prompts["prompt"])
    return dict(zip(prompts["prompt_id"], groups, strict=True))
