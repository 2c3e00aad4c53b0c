"""Before and after: what the model without the images says of them, and what it draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from untrain.core.files import rng
from untrain.encoders import load_encoder
from untrain.encoders.base import pooled
from untrain.evaluation.membership import attack
from untrain.evaluation.model_measures import Pairs
from untrain.experiment.stages.compare import run_copy_test
from untrain.experiment.stages.evaluate import pairs_of
from untrain.generators.base import Generator, has_likelihood
from untrain.generators.queries import Queries, draw
from untrain.runs.pictures import save_pictures
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.takedowns.trial import losses

OTHERS = 500  # held-out and retained pairs that are measured beside the requested ones, each
ASKED_BY_CAPTION = 20  # requested images whose captions are drawn


def surprise(
    run: Run, models: Mapping[str, Generator], ids: Sequence[str]
) -> dict[str, Any] | None:
    """Return the losses of the requested images in some models, and of others beside them.

    Parameters
    ----------
    run : Run
    models : mapping of str to Generator
        By name: ``before``, ``after`` and, where there is one, ``exact``.
    ids : sequence of str
        The requested training images.

    Returns
    -------
    dict or None
        ``unit``; ``requested``: by image the loss in each model; ``means`` by model of the
        ``requested``, ``retained`` and ``held_out`` pairs; ``membership`` by model: how often a
        requested pair has a lower loss than a held-out one (0.5: no telling apart). None where
        the generator gives no losses.
    """
    if not has_likelihood(run.generator):
        return None
    kept = sorted(set(run.catalog.ids) - set(ids))
    groups = {
        "requested": pairs_of(run.generator, run.catalog, list(ids)),
        "retained": pairs_of(run.generator, run.catalog, _some(kept, run.config.seed)),
    }
    if len(run.held_out):
        some = _some(list(run.held_out.ids), run.config.seed)
        groups["held_out"] = pairs_of(run.generator, run.held_out, some)
    table = {name: _by_group(model, groups) for name, model in models.items()}
    held = {name: of.get("held_out") for name, of in table.items()}
    return {
        "unit": run.unit,
        "requested": [
            {"image_id": i, **{name: float(of["requested"][row]) for name, of in table.items()}}
            for row, i in enumerate(ids)
        ],
        "counts": {group: len(pairs.captions) for group, pairs in groups.items()},
        "means": {
            name: {group: float(values.mean()) for group, values in of.items()}
            for name, of in table.items()
        },
        "held_out": {name: None if v is None else v.tolist() for name, v in held.items()},
        "membership": {
            name: None if (other := held[name]) is None else attack(of["requested"], other)[0]
            for name, of in table.items()
        },
    }


def drawn_again(
    run: Run,
    before: Generator,
    after: Generator | None,
    ids: Sequence[str],
    probes: int,
    folder: Path,
) -> dict[str, Any]:
    """Draw the run's pictures again, and what the captions of the images ask for; test for copies.

    Every picture has the same noise in both models. The copy test is the run's own: it compares
    with training images as the generator's frozen parts redraw them.

    Parameters
    ----------
    before, after : Generator
        Model A, and the one without the images, if there is one.
    ids : sequence of str
        The requested training images.
    probes : int
        Pictures a caption, of the first `ASKED_BY_CAPTION` images; 0 for none.
    folder : Path
        Where the pictures are kept, in folders ``before`` and ``after``.

    Returns
    -------
    dict
        ``captions`` and ``probes``; ``before`` and ``after``: ``tested`` pictures, the
        ``pictures`` that are near copies of a requested image, and ``others``, how many are near
        copies of another training image.
    """
    asked = list(ids)[:ASKED_BY_CAPTION] if probes else []
    texts = {f"request/{i}": run.catalog.captions[run.catalog.index[i]] for i in asked}
    keys = [(name, g) for name in texts for g in range(probes)]
    own = read_queries(run.folder)
    parts: dict[str, Queries] = {"before": own}
    if after is not None:
        parts["after"] = draw(after, own.keys, own.texts, run.config.seed)
    found: dict[str, Any] = {
        "captions": len(asked),
        "probes": probes,
        "alpha": run.config.copies.alpha,
    }
    for name, model in (("before", before), ("after", after)):
        if model is None:
            continue
        queries = parts[name]
        if keys:
            queries = _together(queries, draw(model, keys, texts, run.config.seed))
        names = [f"{prompt}/{g}" for prompt, g in queries.keys]
        save_pictures(folder / name, dict(zip(names, queries.pictures, strict=True)))
        found[name] = _near_copies(run, queries, ids)
    return found


def _near_copies(run: Run, queries: Queries, ids: Sequence[str]) -> dict[str, Any]:
    asked = run.config.copies
    encoder = pooled(load_encoder(asked.encoder.name, **asked.encoder.options))
    table, _ = run_copy_test(
        queries, run.catalog, run.held_out, run.generator, encoder, asked.alpha
    )
    flagged = table[table["near_copy"]]
    own = flagged[flagged["image_id"].isin(list(ids))]
    return {
        "tested": len(table),
        "others": len(flagged) - len(own),
        "pictures": [
            {
                "prompt_id": row["prompt_id"],
                "prompt": queries.texts[row["prompt_id"]],
                "generation": int(row["generation"]),
                "image_id": row["image_id"],
                "distance": float(row["distance"]),
            }
            for row in own.to_dict("records")
        ],
    }


def _together(a: Queries, b: Queries) -> Queries:
    return Queries(
        (*a.keys, *b.keys), {**a.texts, **b.texts}, [*list(a.pictures), *list(b.pictures)]
    )


def _by_group(model: Generator, groups: Mapping[str, Pairs]) -> dict[str, np.ndarray]:
    return {name: losses(model, pairs) for name, pairs in groups.items()}


def _some(ids: Sequence[str], seed: int) -> list[str]:
    """Return at most `OTHERS` ids, drawn by the seed."""
    if len(ids) <= OTHERS:
        return list(ids)
    chosen = rng("takedown", "others", seed).permutation(len(ids))[:OTHERS]
    return [ids[i] for i in sorted(chosen.tolist())]
