"""Which images the methods of a ladder are to forget: sets of the run, or a user's own lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.core.given import read_table
from untrain.core.tables import EFFECTS, FORGET_SETS
from untrain.core.vocabulary import PRIMARY, Arm, Design, Role, is_targeted
from untrain.generators.base import rows_of
from untrain.runs.inputs import read_lines
from untrain.runs.run import Run

TARGETED, RANDOM, FAMILY, PLANTED, OWN = "targeted", "random", "family", "planted", "own"
KINDS = (TARGETED, RANDOM, FAMILY, PLANTED, OWN)
"""How the images of a set were chosen: by the run's best ranking for a prompt; at random; all of a
family; all copies of a planted item; by the user."""


@dataclass(frozen=True)
class LadderSet:
    """A set of training images that every method is to forget.

    Attributes
    ----------
    set_id : str
        Its name: that of the run's forget set where it is one.
    kind : str
        One of `KINDS`.
    prompt_id : str or None
        The prompt that it was made for; None of a list of the user's.
    ids : tuple of str
        The images, each once, in the catalogue's order.
    """

    set_id: str
    kind: str
    prompt_id: str | None
    ids: tuple[str, ...]


def sets_of_run(run: Run, targeted: int = 2, random: int = 1, family: int = 1) -> list[LadderSet]:
    """Return sets of a run: the first prompts' best, random ones as large, and whole families.

    Parameters
    ----------
    run : Run
        Done up to ``remove`` at least.
    targeted, random, family : int
        How many of each kind, as far as the run has them. Targeted sets are of the ranking whose
        removal did most, where that is known, and of the smallest size; a random one is the run's
        own for the same prompt, or drawn if it has none; families are those of positive controls,
        or the copies of a planted item.

    Raises
    ------
    InputError
        The run has no forget sets yet, or none is asked for.
    """
    if not FORGET_SETS.path(run.folder).is_file():
        raise InputError(
            f"{run.folder} has no forget sets yet: run the experiment to its end first "
            "(`untrain run FILE`), or name lists of images with --sets"
        )
    images = run.table("forget_sets")
    ranked = images[images["arm"].map(is_targeted).astype(bool)]
    found: list[LadderSet] = []
    if len(ranked):
        arm, k = best_arm(run, ranked), int(ranked["k"].min())
        queries = run.prompts[run.prompts["role"] == Role.QUERY]["prompt_id"]
        own = ranked[(ranked["arm"] == arm) & (ranked["k"] <= k)]
        asked = [p for p in queries if (own["prompt_id"] == p).any()]
        for prompt_id in asked[:targeted]:
            ids = own[own["prompt_id"] == prompt_id]["image_id"]
            found.append(_set(run.catalog, f"{arm}/{prompt_id}/k{k}", TARGETED, prompt_id, ids))
        found += _random(run, images, asked[:random], k)
    found += _families(run, images, family)
    if not found:
        raise InputError(
            "no forget set is left to be forgotten: ask for at least one targeted set, random set "
            "or family, or name lists of images with --sets"
        )
    return found


def best_arm(run: Run, ranked: pd.DataFrame) -> str:
    """Return the arm of the ranking whose images mattered most, or the first if that is unknown."""
    arms = list(dict.fromkeys(ranked["arm"]))
    if not EFFECTS.path(run.folder).is_file():
        return str(arms[0])
    effects = run.table("results/effects")
    overall = effects[
        effects["prompt_id"].isna()
        & effects["arm"].isin(arms)
        & effects["measure"].isin(PRIMARY)
        & (effects["design"] == Design.RANDOMISED)
    ]
    overall = overall[overall["k"] == overall["k"].min()].dropna(subset=["effect"])
    return str(overall.loc[overall["effect"].idxmax(), "arm"]) if len(overall) else str(arms[0])


def read_sets(file: Path, catalog: Catalog) -> list[LadderSet]:
    """Read a user's lists of images.

    Parameters
    ----------
    file : Path
        A table (``.csv``, ``.parquet``) with the columns ``set_id`` and ``image_id``, or a text
        file with an image id on each line, which is one set of the file's name.
    catalog : Catalog
        What the images are of.

    Raises
    ------
    InputError
        The file cannot be read, or a set is empty, holds all images, or one that is unknown.
    """
    if file.suffix not in (".csv", ".parquet"):
        ids = pd.Series(read_lines(file, "image id"))
        return [_set(catalog, file.stem, OWN, None, ids)]
    try:
        table = read_table(file, dtype=str, keep_default_na=False)
    except OSError as error:
        raise InputError(f"cannot read the sets in {file}: {error.strerror}") from None
    missing = [name for name in ("set_id", "image_id") if name not in table]
    if missing:
        raise InputError(
            f"{file} has no column {missing[0]}; expected set_id and image_id, or a text file with "
            "an image id on each line"
        )
    if table.empty:
        raise InputError(f"{file} names no images: expected a row for each image to forget")
    groups = table.astype(str).groupby("set_id", sort=False)["image_id"]
    return [_set(catalog, str(name), OWN, None, ids) for name, ids in groups]


def _set(
    catalog: Catalog, name: str, kind: str, prompt_id: str | None, ids: Iterable[str]
) -> LadderSet:
    """Return a set whose images were checked: some of the catalogue's, not all."""
    wanted = dict.fromkeys(str(image_id) for image_id in ids)
    rows = np.sort(rows_of(catalog, list(wanted), "forget"))
    if not len(rows):
        raise InputError(f"the set {name} is empty: name the images to forget")
    if len(rows) == len(catalog):
        raise InputError(
            f"the set {name} holds all {len(catalog)} training images: leave some to be retained"
        )
    return LadderSet(name, kind, prompt_id, tuple(catalog.ids[row] for row in rows))


def _random(run: Run, images: pd.DataFrame, prompts: Sequence[str], k: int) -> list[LadderSet]:
    """Return the run's random sets of some prompts, drawn where it has none."""
    own = images[(images["arm"] == Arm.RANDOM_UNIFORM) & (images["draw"] == 0)]
    found = []
    for prompt_id in prompts:
        ids = list(own[(own["prompt_id"] == prompt_id) & (own["k"] <= k)]["image_id"])
        name = f"{Arm.RANDOM_UNIFORM}/{prompt_id}/k{k}"
        if not ids:
            free = sorted(set(run.catalog.ids) - set(images["image_id"]))
            order = rng("ladder random", run.config.seed, prompt_id).permutation(len(free))
            ids = [free[row] for row in order[:k]]
        if ids:
            found.append(_set(run.catalog, name, RANDOM, prompt_id, ids))
    return found


def _families(run: Run, images: pd.DataFrame, number: int) -> list[LadderSet]:
    """Return the families of positive controls, or of queries where there are no controls."""
    known = run.prompts[run.prompts["family"].notna()]
    if "family" not in run.catalog.attributes or not number:
        return []
    of_image = run.catalog.attributes["family"].astype(str).to_numpy()
    ids = np.array(run.catalog.ids, dtype=object)
    found: list[LadderSet] = []
    for row in known.sort_values("role", kind="stable").itertuples():  # controls come first
        family = str(row.family)
        own = ids[of_image == family]
        if not len(own) or len(found) == number:
            continue
        kind = PLANTED if family.startswith("planted-") else FAMILY
        removed = images[(images["arm"] == Arm.FAMILY) & (images["prompt_id"] == row.prompt_id)]
        name = str(removed["forget_set_id"].iloc[0]) if len(removed) else f"family/{row.prompt_id}"
        chosen = list(removed["image_id"]) if len(removed) else list(own)
        found.append(_set(run.catalog, name, kind, str(row.prompt_id), chosen))
    return found
