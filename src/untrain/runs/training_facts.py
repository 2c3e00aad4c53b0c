"""What an experiment trains on, as facts for somebody outside."""

from __future__ import annotations

from typing import Any

import untrain
from untrain.catalogs.facts import catalog_facts
from untrain.runs.inputs import open_inputs
from untrain.settings.config import Config
from untrain.settings.sections import Data

GIVEN_WEIGHTS = ("pipeline", "vae", "path")
"""Options of a generator that name weights which somebody else trained."""


def training_facts(config: Config) -> dict[str, Any]:
    """Return the facts of an experiment's training data, as JSON holds them.

    Returns
    -------
    dict
        ``untrain``: its version; ``sources``: one for each origin of pictures (``kind``,
        ``format``, ``place``); ``data``: of `catalog_facts`, what the models train on;
        ``held_out``: how many images no model saw; ``model``: ``generator``, ``preset``,
        ``weights`` that were given.

    Raises
    ------
    InputError
        The data cannot be opened.
    """
    inputs = open_inputs(config)
    generator = config.generator
    named = {**generator.settings, **generator.options}
    return {
        "untrain": untrain.__version__,
        "sources": sources_of(config.data),
        "data": catalog_facts(inputs.train),
        "held_out": len(inputs.held_out),
        "model": {
            "generator": generator.name,
            "preset": generator.preset,
            "weights": [str(named[name]) for name in GIVEN_WEIGHTS if named.get(name)],
        },
    }


def sources_of(data: Data) -> list[dict[str, str | None]]:
    """Return where the images of an experiment are from, and what kind of source that is.

    ``kind`` is ``synthetic`` of pictures that untrain draws, ``public`` of a data set on the
    Hugging Face hub, and None of files: what they are, only who has them can tell.
    """
    if data.format == "rendered":
        found = [_source("synthetic", data.format, f"{data.families} families, seed {data.seed}")]
    elif data.hub:
        found = [_source("public", data.format, data.hub)]
    else:
        found = [_source(None, data.format, str(data.path))]
    if data.plant:
        found.append(_source("synthetic", "planted", f"{data.plant.items} odd pictures, copied"))
    return found


def _source(kind: str | None, format: str, place: str) -> dict[str, str | None]:
    return {"kind": kind, "format": format, "place": place}
