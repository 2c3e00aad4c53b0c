"""Scores of the user's own: any attribution method's (prompt, image, score) as a ranking.

Tables are read here, arrays of other libraries by `untrain.search.rank.arrays`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.core import given
from untrain.core.errors import InputError, did_you_mean
from untrain.search.rank.arrays import is_array, read_array
from untrain.search.rank.metric_table import PAIR, Ranked, ranked

WORDS = ("prompt_id", "prompt", "image_id", "image", "method")


def read_scores(
    path: Path, prompts: pd.DataFrame, ids: Sequence[str], method: str = "scores"
) -> Ranked:
    """Read scores and rank the images of every prompt by them.

    Parameters
    ----------
    path : Path
        Parquet or CSV with the columns ``image_id`` (or ``image``), ``score`` (higher is more
        influential) and ``prompt_id`` or ``prompt`` (ids, or texts as the experiment has them). A
        column ``method`` may
        name the method that made them, one for all rows. Other columns are ignored, images
        without a score are left out. Or an array as TRAK, dattri, kronfluence, quanda or NumPy
        write it (`untrain.search.rank.arrays`): rows as the prompts that are no controls, columns
        as ``ids``; NaN is no score.
    prompts : DataFrame
        The prompts to be ranked: ``prompt_id``, for a file that goes by text ``prompt``, and
        perhaps ``role``; one whose role is ``control`` may go without scores.
    ids : sequence of str
        Images of the catalogue.
    method : str
        Goes into the column ``method`` of the result.

    Returns
    -------
    Ranked

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, has a prompt or an image that is unknown, a pair
        twice, a score that is no finite number or several methods; or if a prompt has no score.
    """
    if is_array(path):
        table = _of_array(path, prompts, ids)
    else:
        table = _read(path)
        table["prompt_id"] = _prompt_ids(path, table, prompts)
    _refuse_unknown(path, "image", table["image_id"], ids, "the catalogue of this experiment")
    scores = pd.to_numeric(table["score"], errors="coerce").to_numpy(np.float64)
    bad = table[~np.isfinite(scores)]
    if len(bad):
        raise InputError(
            f"{path}: {len(bad)} of {len(table)} scores are no finite number, first "
            f"'{bad['score'].iloc[0]}' of {_pair(bad)}: leave such rows out"
        )
    twice = table[table.duplicated(PAIR)]
    if len(twice):
        raise InputError(
            f"{path}: {len(twice)} pairs of prompt and image have more than one score, first "
            f"{_pair(twice)}: keep one of each"
        )
    # The removal of a control prompt's set asks for no ranking.
    asked = prompts[prompts["role"] != "control"] if "role" in prompts else prompts
    without = sorted(set(asked["prompt_id"]) - set(table["prompt_id"]))
    if without:
        raise InputError(
            f"{path}: prompt {_some(without)} has no score; every prompt of the experiment needs "
            "at least one"
        )
    return ranked(method, pd.Series(scores, pd.MultiIndex.from_frame(table[PAIR])))


def _of_array(path: Path, prompts: pd.DataFrame, ids: Sequence[str]) -> pd.DataFrame:
    """Return an array of scores as a table with the columns prompt_id, image_id and score."""
    asked = prompts[prompts["role"] != "control"] if "role" in prompts else prompts
    values = read_array(path, len(asked), len(ids))
    table = pd.DataFrame(
        {
            "prompt_id": np.repeat(asked["prompt_id"].to_numpy(), len(ids)),
            "image_id": np.tile(np.asarray(ids, dtype=object), len(asked)),
            "score": values.ravel(),
        }
    )
    return table[~np.isnan(values.ravel())].reset_index(drop=True)


def _read(path: Path) -> pd.DataFrame:
    """Read the file, ids and prompts as text, and check its columns."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected Parquet or CSV with scores")
    try:
        if path.suffix == ".csv":
            # An id such as 007 stays one, a prompt such as "nan" too.
            text = dict.fromkeys(WORDS, str)
            table = given.read_csv(
                path, dtype=text, keep_default_na=False, na_values={"score": [""]}
            )
        else:
            table = given.read_parquet(path)
    except OSError as error:
        fault = error.strerror
        raise InputError(f"{path}: cannot be read as Parquet or CSV ({fault})") from None
    if "image_id" not in table and "image" in table:
        table = table.rename(columns={"image": "image_id"})
    missing = [column for column in ("image_id", "score") if column not in table]
    if not {"prompt_id", "prompt"} & set(table.columns):
        missing.insert(0, "prompt_id (or prompt)")
    if missing:
        raise InputError(
            f"{path}: has no column {' and none '.join(missing)}; found {_some(table.columns)}; "
            "expected prompt_id (or prompt), image_id and score"
        )
    table = table[[column for column in (*WORDS, "score") if column in table]]
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise InputError(f"{path}: has more than one column {twice}; keep one of them")
    for column in WORDS:
        if column in table:
            table[column] = table[column].astype(str)
            if lacking := int(table[column].isna().sum()):
                raise InputError(f"{path}: {column} is missing in {lacking} of {len(table)} rows")
    if "method" in table and table["method"].nunique() > 1:
        names = sorted(table["method"].unique())
        raise InputError(f"{path}: has scores of {_some(names)}; write one file for each method")
    return table.reset_index(drop=True)


def _prompt_ids(path: Path, table: pd.DataFrame, prompts: pd.DataFrame) -> pd.Series:
    """Return the prompt id of each row, looked up by text where the file has no ids."""
    where = "the prompts of this experiment"
    if "prompt_id" in table:
        _refuse_unknown(path, "prompt_id", table["prompt_id"], prompts["prompt_id"], where)
        return table["prompt_id"]
    if set(table["prompt"]) <= set(prompts["prompt_id"]):
        return table["prompt"]
    if "prompt" not in prompts:
        raise InputError(f"{path}: goes by prompts' texts, which are not known here: use prompt_id")
    _refuse_unknown(path, "prompt", table["prompt"], prompts["prompt"], where)
    texts = prompts["prompt"]
    if texts.duplicated().any():
        raise InputError(
            f"{path}: goes by prompts' texts, but '{texts[texts.duplicated()].iloc[0]}' is the "
            "text of more than one prompt: use prompt_id"
        )
    return table["prompt"].map(dict(zip(texts, prompts["prompt_id"], strict=True)))


def _refuse_unknown(
    path: Path, kind: str, found: pd.Series, known: Iterable[str], where: str
) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        held_out = "; held-out images count as unknown" if kind == "image" else ""
        raise InputError(
            f"{path}: {len(unknown)} {kind}{'s' * (len(unknown) > 1)} not among {where}, first "
            f"'{unknown[0]}'{_like(unknown[0], known)}{held_out}: score what the experiment has"
        )


def _like(name: str, known: Iterable[str]) -> str:
    """Suggest a known name where there are few enough of them to look through."""
    names = list(known)
    return did_you_mean(name, names) if 0 < len(names) <= 200 else ""


def _pair(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"prompt '{first['prompt_id']}', image '{first['image_id']}'"


def _some(names: Iterable[object]) -> str:
    """List the first few names."""
    listed = [f"'{name}'" for name in names]
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
