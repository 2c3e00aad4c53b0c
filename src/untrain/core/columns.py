"""Columns that several tables of a run have, and short ways to write one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from untrain.core.schema import BELOW, FILE, Column, Kind


def text(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.TEXT, meaning, **more)


def integer(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.INTEGER, meaning, **more)


def number(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.NUMBER, meaning, **more)


def flag(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.FLAG, meaning, **more)


PROMPT = text("prompt_id", "The prompt: p00, p01, … of queries, c00, … of controls.", names=FILE)
IMAGE = text("image_id", "The training image, by its id in the catalogue.")
GENERATION = integer("generation", "Number of the prompt's picture, from 0.")
MODEL = text("model_id", "A drew the pictures; B00, B01, … are the models compared.", names=FILE)
SET = text(
    "forget_set_id",
    "The forget set: arm/prompt/k10, with /d0 for its draw, arm+arm/prompt/k10 of shared images.",
)
SETS_PROMPT = replace(
    PROMPT,
    nullable=True,
    meaning="The prompt that it was made for; missing of a user's list.",
)
FAMILY = text(
    "family", "The family that prompt or image is known to be of; missing if none.", nullable=True
)
TRAINING = (
    integer("seed", "Seed of its training; the same of paired models."),
    text("fingerprint", "What it is known by."),
    text("path", "Its folder, from the run folder.", names=BELOW),
)
"""What is known of every trained model."""
