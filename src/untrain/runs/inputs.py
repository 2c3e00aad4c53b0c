"""What an experiment starts from: the catalogue, its held-out part, and the prompts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from untrain.catalogs import hold_out, load_catalog, plant, subset
from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered.catalog import family_prompt
from untrain.core.errors import InputError
from untrain.core.files import rng
from untrain.core.outside import read_text
from untrain.runs.given_pictures import GivenPictures
from untrain.search.retrieve.candidates import retrieve
from untrain.settings.config import Config
from untrain.settings.load import load_config
from untrain.settings.sections import GeneratorConfig

if TYPE_CHECKING:  # importing it imports torch
    from untrain.generators.precision import MeasuredPrecision


@dataclass(frozen=True)
class Inputs:
    """The data of an experiment.

    Attributes
    ----------
    train, held_out : Catalog
        Disjoint; no model sees the second.
    prompts : DataFrame
        Columns prompt_id, prompt, family (empty where unknown), role (query or control), seen (is
        it the caption of a training image?).
    given : GivenPictures, optional
        Finished pictures instead of a model.
    """

    train: Catalog
    held_out: Catalog
    prompts: pd.DataFrame
    given: GivenPictures | None = None


def run_config(folder: Path) -> Config:
    """Read the configuration of an existing run folder, even if it was moved.

    Raises
    ------
    InputError
        It is not the folder of a run.
    """
    for name in ("run.json", "config.yaml"):
        if not (folder / name).exists():
            raise InputError(f"{folder} is not a run folder: it has no {name}")
    here = folder.resolve()
    config = load_config(folder / "config.yaml")
    return config.model_copy(update={"runs": here.parent, "name": here.name})


def open_inputs(config: Config) -> Inputs:
    """Open the catalogue of a configuration and build its prompts."""
    data = config.data
    catalog = open_catalog(config)
    keep = _kept_in(config, catalog)
    given = GivenPictures.open(config.given) if config.given else None
    prompts = given.prompts if given else _prompts(config, catalog)
    if data.subset:
        neighbours = _neighbours(config, prompts, catalog)
        catalog = subset(catalog, data.subset.size, data.seed, neighbours | keep)
    if data.plant and given is None:
        catalog = plant(catalog, data.plant.items, data.plant.copies, data.seed)
        prompts = pd.concat([prompts, _planted_prompts(config, catalog)], ignore_index=True)
    # Which images a finished model did not see is unknown: all of them are searched.
    train, held_out = _split(catalog, 0.0 if given else data.holdout, data.seed, keep)
    prompts = prompts.assign(seen=seen_in(train, prompts["prompt"]))
    return Inputs(train, held_out, prompts, given)


def measured_precision(
    settings: GeneratorConfig, seed: int, known: Mapping[str, Any] | None = None
) -> MeasuredPrecision:
    """Return the precision that ``generator.precision: auto`` chooses; see `measure_precision`."""
    from untrain.generators.precision import measure_precision

    return measure_precision(settings.name, seed, settings.arguments(), known)


def open_training_catalog(settings: Mapping[str, Any]) -> Catalog:
    """Open the training catalogue of an experiment from plain values, in another process."""
    return open_inputs(Config.model_validate(dict(settings))).train


def _neighbours(config: Config, prompts: pd.DataFrame, catalog: Catalog) -> set[str]:
    """Return the ids that a subset must contain: the nearest captions of every prompt."""
    settings = config.data.subset
    if settings is None or not settings.neighbours:
        return set()
    if (
        settings.neighbours_of
    ):  # runs with different prompts can share one subset, and therefore models
        prompts = _as_prompts(read_lines(settings.neighbours_of, "prompt"))
    return set(retrieve(catalog, prompts, top=settings.neighbours).table["image_id"])


def seen_in(catalog: Catalog, prompts: Iterable[str]) -> list[bool]:
    """Return, for each prompt, whether it is a caption, ignoring case and white space."""
    captions = {_folded(caption) for caption in catalog.captions}
    return [_folded(prompt) in captions for prompt in prompts]


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def open_catalog(config: Config, fresh: bool = False) -> Catalog:
    """Open the whole catalogue that a configuration names; ``fresh`` ignores cached listings."""
    data = config.data
    given = data.chosen()
    if data.format == "rendered":
        given |= {"families": data.families, "size_of_family": data.family_size, "seed": data.seed}
    return load_catalog(data.format, strict=data.strict, fresh=fresh, **given)


def read_lines(path: Path, what: str) -> list[str]:
    """Read a file with one ``what`` ("prompt", "image id") per line.

    Raises
    ------
    InputError
        The file cannot be read, is empty, or has a blank line between others.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"cannot read the {what} file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"the {what} file {path} is not text (UTF-8)") from None
    if not text.strip():
        raise InputError(f"the {what} file {path} is empty: write one {what} per line")
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if "" in lines:
        raise InputError(
            f"the {what} file {path}: line {lines.index('') + 1} is blank; delete it, or write "
            f"the {what} that is missing"
        )
    return lines


def listed_ids(config: Config) -> list[str]:
    """Return the user's own list of images to remove, ``removal.ids``; empty if there is none."""
    path = config.removal.ids
    return read_lines(path, "image id") if path else []


def _prompts(config: Config, catalog: Catalog) -> pd.DataFrame:
    source = config.prompts
    if source.families:
        return _family_prompts(config, catalog)
    texts = read_lines(source.file, "prompt") if source.file else list(source.texts)
    if any(not text.strip() for text in texts):
        raise InputError("prompts.texts holds an empty prompt")
    _refuse_equal(texts, str(source.file or "prompts.texts"))
    return _as_prompts(texts)


def _refuse_equal(texts: list[str], where: str) -> None:
    """Raise `InputError` for a prompt that is there twice: its two removals would be one."""
    first: dict[str, int] = {}
    for number, text in enumerate(texts, 1):
        if (before := first.setdefault(" ".join(text.split()), number)) != number:
            raise InputError(
                f"{where}: prompt {number} is the same as prompt {before}, '{text[:60]}'; each is "
                "asked once, as the images that it finds can be removed only once: delete one "
                "(generations is the setting for more pictures of a prompt)"
            )


def _as_prompts(texts: list[str]) -> pd.DataFrame:
    width = max(2, len(str(len(texts) - 1)))
    ids = [f"p{i:0{width}d}" for i in range(len(texts))]
    return pd.DataFrame({"prompt_id": ids, "prompt": texts, "family": None, "role": "query"})


def _family_prompts(config: Config, catalog: Catalog) -> pd.DataFrame:
    families = sorted(set(catalog.attributes["family"]))
    controls = 0 if config.data.plant else config.prompts.controls  # otherwise the planted items
    wanted = config.prompts.families + controls
    if wanted > len(families):
        raise InputError(
            f"{wanted} prompts for families were requested, but there are only {len(families)}"
        )
    chosen = rng("prompts", config.seed).permutation(families)[:wanted]
    roles = ["query"] * config.prompts.families + ["control"] * controls
    numbers = [*range(config.prompts.families), *range(controls)]
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
    if wanted > len(first):
        raise InputError(f"prompts.controls is {wanted}, but data.plant.items is {len(first)}")
    first = first.iloc[:wanted]
    return pd.DataFrame(
        {
            "prompt_id": [f"c{i:02d}" for i in range(len(first))],
            "prompt": first.to_numpy(),
            "family": first.index,
            "role": "control",
        }
    )


def _split(
    catalog: Catalog, fraction: float, seed: int, keep: Collection[str] = ()
) -> tuple[Catalog, Catalog]:
    """Hold out a share, but no planted images and none that are to be kept.

    A positive control needs all its copies, and of a held-out image no model can be told to forget
    it. Whatever else is held out stays the same.
    """
    if not fraction:
        return catalog, catalog.subset([])
    train, held_out = hold_out(catalog, fraction, seed)
    back = {i for i in held_out.ids if i.startswith("planted-") or i in keep}
    if back:
        train = catalog.subset({*train.ids, *back})
        held_out = catalog.subset(set(held_out.ids) - back)
    return train, held_out


def _kept_in(config: Config, catalog: Catalog) -> set[str]:
    """Return the ids that ``data.keep_in`` names, with their byte-identical copies.

    Raises
    ------
    InputError
        An id is not in the catalogue.
    """
    asked = config.data.keep_in
    ids = read_lines(asked, "image id") if isinstance(asked, Path) else list(asked or ())
    for image_id in ids:
        if image_id not in catalog.index:
            raise InputError(
                f"data.keep_in: '{image_id}' is not in {catalog.name}; correct the list"
            )
    kept = {catalog.hashes[catalog.index[image_id]] for image_id in ids}
    if not kept:
        return set()
    return {i for i, content in zip(catalog.ids, catalog.hashes, strict=True) if content in kept}


def whole_catalog(config: Config) -> Catalog:
    """Open all that a configuration names, planted images included, before any is left out."""
    catalog, planted = open_catalog(config), config.data.plant
    if planted is None or config.given is not None:
        return catalog
    return plant(catalog, planted.items, planted.copies, config.data.seed)
