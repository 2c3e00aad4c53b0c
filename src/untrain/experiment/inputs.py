"""What an experiment starts from: the catalogue, its held-out part, and the prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from untrain.catalogs import hold_out, load_catalog, plant, subset
from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered import family_prompt
from untrain.errors import InputError
from untrain.experiment.config import Config
from untrain.files import rng
from untrain.search.retrieval import retrieve


@dataclass(frozen=True)
class Inputs:
    """The data of an experiment.

    Attributes
    ----------
    train, held_out : Catalog
        Disjoint; no model sees the second.
    prompts : DataFrame
        Columns prompt_id, prompt, family (empty where unknown), role (query or control).
    """

    train: Catalog
    held_out: Catalog
    prompts: pd.DataFrame


def open_inputs(config: Config) -> Inputs:
    """Open the catalogue of a configuration and make its prompts."""
    data = config.data
    catalog = open_catalog(config)
    prompts = _prompts(config, catalog)
    if data.subset:
        top = data.subset.neighbours
        keep = set()
        if top:
            keep = set(retrieve(catalog, prompts, top=top)["image_id"])
        catalog = subset(catalog, data.subset.size, data.seed, keep)
    if data.plant:
        catalog = plant(catalog, data.plant.items, data.plant.copies, data.seed)
        prompts = pd.concat([prompts, _planted_prompts(config, catalog)], ignore_index=True)
    train, held_out = _split(catalog, data.holdout, data.seed)
    return Inputs(train, held_out, prompts)


def open_catalog(config: Config) -> Catalog:
    """Open the catalogue that a configuration names, whole."""
    data = config.data
    if data.format == "rendered":
        return load_catalog(
            "rendered",
            families=data.families,
            size_of_family=data.family_size,
            seed=data.seed,
        )
    if data.path is None:
        raise InputError(f"data.format '{data.format}' needs data.path")
    return load_catalog(data.format, strict=data.strict, path=data.path)


def read_prompts(path: Path) -> list[str]:
    """Read one prompt a line; a blank line among them is an `InputError` that names it."""
    try:
        lines = path.read_text(encoding="utf-8").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the prompt file {path}: {error}") from None
    prompts = [line.strip() for line in lines]
    for number, prompt in enumerate(prompts, 1):
        if not prompt:
            what = "is empty" if len(prompts) == 1 else f"has a blank line ({number})"
            raise InputError(f"the prompt file {path} {what}: write one prompt a line")
    return prompts


def _prompts(config: Config, catalog: Catalog) -> pd.DataFrame:
    source = config.prompts
    if source.families:
        return _family_prompts(config, catalog)
    texts = read_prompts(source.file) if source.file else list(source.texts)
    if any(not text.strip() for text in texts):
        raise InputError("prompts.texts holds an empty prompt")
    width = max(2, len(str(len(texts) - 1)))
    ids = [f"p{i:0{width}d}" for i in range(len(texts))]
    return pd.DataFrame({"prompt_id": ids, "prompt": texts, "family": "", "role": "query"})


def _family_prompts(config: Config, catalog: Catalog) -> pd.DataFrame:
    families = sorted(set(catalog.attributes["family"]))
    wanted = config.prompts.families + config.prompts.controls
    if wanted > len(families):
        raise InputError(f"{wanted} prompts for families asked for, there are {len(families)}")
    chosen = rng("prompts", config.seed).permutation(families)[:wanted]
    roles = ["query"] * config.prompts.families + ["control"] * config.prompts.controls
    numbers = [*range(config.prompts.families), *range(config.prompts.controls)]
    return pd.DataFrame(
        {
            "prompt_id": [f"{r[0].replace('q', 'p')}{n:02d}" for r, n in zip(roles, numbers)],  # noqa: B905
            "prompt": [family_prompt(catalog, family) for family in chosen],
            "family": chosen,
            "role": roles,
        }
    )


def _planted_prompts(config: Config, catalog: Catalog) -> pd.DataFrame:
    """One control prompt for each planted item: its own odd caption."""
    planted = catalog.attributes["family"].astype(str).str.startswith("planted-")
    captions = pd.Series(catalog.captions)[planted.to_numpy()]
    first = captions.groupby(catalog.attributes["family"][planted].to_numpy()).first()
    wanted = config.prompts.controls or len(first)
    first = first.iloc[:wanted]
    return pd.DataFrame(
        {
            "prompt_id": [f"c{i:02d}" for i in range(len(first))],
            "prompt": first.to_numpy(),
            "family": first.index,
            "role": "control",
        }
    )


def _split(catalog: Catalog, fraction: float, seed: int) -> tuple[Catalog, Catalog]:
    """Hold a share out, but never a planted image: a positive control needs all its copies."""
    train, held_out = hold_out(catalog, fraction, seed)
    planted = [i for i in held_out.ids if i.startswith("planted-")]
    if planted:
        train = catalog.subset({*train.ids, *planted})
        held_out = catalog.subset(set(held_out.ids) - set(planted))
    return train, held_out
