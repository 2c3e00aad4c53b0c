"""The experiments of a first answer: the tiny one that is run, and the real one to be run later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from untrain.quickstart.budget import Size

PLANTED = {"items": 2, "copies": 12}
PROMPTS, PICTURES = 6, 3  # of the tiny trial
ARMS = ("targeted", "random_uniform")
REAL_PROMPTS = 12
QUICK_MODELS = (10, 8, 6)
REAL_MODELS = (16, 12, 10, 8)
FEWEST = 60  # pictures; of fewer too large a share would have to be removed at once
SHARE = 0.02  # of the pictures, that a forget set of the tiny trial has at most
LARGEST = 10
HELD_OUT = 0.04
NEIGHBOURS = 50  # captions nearest to each prompt that a part of the data keeps, at most
NEAR = 0.5  # share of such a part that they may take, so that the others are still random


def set_size(images: int) -> int:
    """Return how many images a forget set has, of so many to train on."""
    return max(2, min(LARGEST, int(SHARE * images)))


def prompts_for(images: int, most: int, sets: int) -> int:
    """Return how many prompts there can be if at most half of the images are to be in a set.

    Parameters
    ----------
    images : int
        To train on.
    most : int
        Prompts wanted.
    sets : int
        Forget sets of a prompt.
    """
    return max(2, min(most, images // (2 * sets * set_size(images))))


def planted_images() -> int:
    """Return how many images the positive control adds."""
    return PLANTED["items"] * PLANTED["copies"]


def positive_control() -> dict[str, Any]:
    """Return the settings that plant a positive control, by dotted name."""
    return {f"data.plant.{key}": value for key, value in PLANTED.items()}


def changes(size: Size, images: int, prompts: int) -> dict[str, Any]:
    """Return the settings that a trial of a size changes, by dotted name.

    Parameters
    ----------
    size : Size
    images : int
        How many the data have.
    prompts : int
        How many there are.
    """
    found: dict[str, Any] = {
        **positive_control(),
        "generator.preset": size.preset,
        "generator.settings": size.settings,
        "retrieval.top": max(2 * LARGEST, min(100, size.images // 2)),
        "removal.k": [set_size(size.images)],
        "design.models": size.models,
    }
    if size.images < images:
        found["data.subset.size"] = size.images
        room = int(NEAR * size.images / max(1, prompts))
        found["data.subset.neighbours"] = max(1, min(NEIGHBOURS, room))
    return found


def tiny_experiment(
    data: Mapping[str, Any], prompts: Path, count: int, size: Size, images: int, seed: int
) -> dict[str, Any]:
    """Return the settings of the tiny trial, as an experiment file holds them.

    Parameters
    ----------
    data : mapping
        As `untrain.quickstart.looking.open_pictures` returns it.
    prompts : Path
        File of its prompts, relative to the experiment file.
    count : int
        How many those are.
    size : Size
    images : int
        How many the data have.
    seed : int
    """
    values: dict[str, Any] = {
        "name": "trial",
        "seed": seed,
        "generations": PICTURES,
        "data": {**as_settings(data), "holdout": HELD_OUT},
        "prompts": {"file": str(prompts)},
        "removal": {"arms": [*ARMS]},
    }
    for name, value in changes(size, images, count).items():
        *sections, last = name.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return values


def as_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a catalogue as the section ``data`` has them: the format's own below."""
    from untrain.settings.sections import Data

    own = {k: v for k, v in data.items() if k in Data.model_fields}
    further = {k: v for k, v in data.items() if k not in Data.model_fields}
    return {**own, **({"options": further} if further else {})}
