"""A run and its bank written as plain files; `untrain.banks.benchmark.read` says which."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import untrain
from untrain.attribution.base import Evidence, Scores
from untrain.attribution.registry import make_attributor
from untrain.banks.bank import Bank
from untrain.banks.benchmark.card import data_card
from untrain.banks.benchmark.read import FORMAT, VERSION, Benchmark
from untrain.banks.benchmark.standalone import standalone
from untrain.banks.leaderboard import evidence_of, half_outcomes, of_halves
from untrain.catalogs.base import PNG_SIGNATURE, Catalog
from untrain.core import disk
from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError
from untrain.core.files import copy_file, write_csv, write_json, write_parquet, write_text
from untrain.core.images import write_png
from untrain.core.outside import read_bytes
from untrain.core.progress import console, track
from untrain.core.tables import MODEL_A
from untrain.core.targets import check_folder_target
from untrain.core.tensors import write_arrays
from untrain.generators.base import has_likelihood
from untrain.generators.differentiable import has_gradients
from untrain.generators.queries import Queries
from untrain.runs.evidence import has_fitted_model
from untrain.runs.leaderboard import Leaderboard
from untrain.runs.run import Run

BASELINES = ("family", "text", "fusion", "nda", "dtrak")
"""Methods whose scores go with a benchmark, as far as there is what they need."""
TOKENS = ("shared.json", "tokenizer.json", "tokens.safetensors")
"""Frozen parts that pictures cannot be made of."""
RENDERED = "rendered"


def write_benchmark(
    run: Run,
    bank: Bank,
    folder: Path | str,
    images: bool = False,
    baselines: Sequence[str] = BASELINES,
) -> Leaderboard:
    """Write a benchmark; the folder appears whole or not at all.

    Parameters
    ----------
    run : Run
        Done up to ``generate`` at least.
    bank : Bank
        With models of random halves; those of other shares are left out.
    folder : Path
        New or empty.
    images : bool
        Write the training images, and the frozen parts of the generator that they could be told
        from, although untrain did not render them.
    baselines : sequence of str
        Names of attributors; those that the run has not what they need for are left out and named.

    Returns
    -------
    Leaderboard
        The baselines judged by the benchmark, the first that there is as the reference.

    Raises
    ------
    InputError
        The bank is too small or does not fit the run, a baseline is unknown, or the folder is not
        empty.
    """
    target = check_folder_target(folder)
    rendered = run.config.data.format == RENDERED
    prompts = run.prompts[run.prompts["role"] == "query"].reset_index(drop=True)
    ids = list(prompts["prompt_id"])
    half_outcomes(run, bank, ids)  # all is measured
    evidence = evidence_of(run, ids)
    found = {name: make_attributor(name) for name in baselines}
    scores: dict[str, Scores] = {}
    for name, attributor in found.items():
        if (why := attributor.missing(evidence)) is None:
            scores[name] = attributor.scores(evidence)
        else:
            console.print(f"  {name} is left out of the baselines: {why}", markup=False)
    if not scores:
        raise InputError("a benchmark needs at least one baseline: none of those named can be had")
    with atomic_folder(target, marked=False) as temporary:
        whole = rendered or images
        _write_catalog(temporary, run.catalog, whole)
        _table(prompts[["prompt_id", "prompt", "family"]], temporary / "prompts.csv")
        _write_queries(temporary, evidence)
        complete = _write_model(temporary, run, evidence, whole)
        _write_bank(temporary, bank, ids)
        stored = {name: each.values for name, each in scores.items()}
        write_arrays(temporary / "baselines.safetensors", stored)
        kinds = {name: attributor.kind for name, attributor in found.items()}
        about = _about(run, evidence, complete) | {
            "rendered": rendered,
            "has_images": whole,
            "baselines": [_baseline(name, kinds[name], each) for name, each in scores.items()],
        }
        write_json(temporary / "benchmark.json", about)
        benchmark = Benchmark(temporary)
        board = benchmark.leaderboard(next(iter(scores)))
        write_text(temporary / "README.md", data_card(benchmark, board))
        _write_sums(temporary)
    return board


def _write_catalog(folder: Path, catalog: Catalog, images: bool) -> None:
    known = {"image_id": catalog.ids, "caption": catalog.captions, "content": catalog.hashes}
    table = pd.DataFrame({name: list(values) for name, values in known.items()})
    if images:
        disk.make_folder(folder / "images")
        files = []
        for row, image_id in enumerate(track(catalog.ids, "writing images", len(catalog))):
            data = catalog.encoded(image_id)
            files.append(f"{row:06d}{'.png' if data.startswith(PNG_SIGNATURE) else '.jpg'}")
            disk.write_bytes(folder / "images" / files[-1], data)
        table["file"] = files
    attributes = catalog.attributes.drop(columns=[c for c in table if c in catalog.attributes])
    text = attributes.astype("object").where(attributes.notna(), "").astype(str)
    write_parquet(folder / "images.parquet", pd.concat([table, text], axis=1))


def _table(table: pd.DataFrame, path: Path) -> None:
    write_csv(path, table, exact=True)


def _write_queries(folder: Path, evidence: Evidence) -> None:
    queries = evidence.queries
    for (prompt_id, generation), picture in zip(queries.keys, queries.pictures, strict=True):
        write_png(folder / "queries" / prompt_id / f"{generation}.png", picture)
    _table(pd.DataFrame(queries.keys, columns=["prompt_id", "generation"]), folder / "queries.csv")
    if queries.samples is not None:
        arrays = {"samples": queries.samples, **_prompt_tokens(evidence, queries)}
        write_arrays(folder / "queries.safetensors", arrays)


def _prompt_tokens(evidence: Evidence, queries: Queries) -> dict[str, np.ndarray]:
    """Return ``text``, the prompt of each query as tokens, where a model reads tokens."""
    if not has_gradients(evidence.model) or queries.samples is None:
        return {}
    batch = evidence.model.query_batch(queries.samples, queries.prompts)  # type: ignore[union-attr]
    return {"text": batch["text"].cpu().numpy()} if "text" in batch else {}


def _write_model(folder: Path, run: Run, evidence: Evidence, whole: bool) -> bool:
    """Write model A; return whether untrain can load it from there."""
    if evidence.model is None or not has_fitted_model(run):
        return False
    path = run.path(str(MODEL_A.read(run.folder)["path"].iloc[0]))
    disk.copy_folder(path, folder / "model", without=".*")
    disk.make_folder(folder / "shared")
    left_out = []
    for file in sorted(run.trainer.shared.rglob("*")):
        inside = file.relative_to(run.trainer.shared)
        if file.is_dir() or file.name.startswith("."):
            continue
        if whole or str(inside) in TOKENS:
            copy_file(file, folder / "shared" / inside)
        else:
            left_out.append(inside)
    if (source := standalone(run.generator)) is not None:
        write_text(folder / "model.py", source)
        return True  # the tokens suffice
    return not left_out


def _write_bank(folder: Path, bank: Bank, prompt_ids: Sequence[str]) -> None:
    half = of_halves(bank)
    models = bank.models[half].reset_index(drop=True)
    _table(models[["model_id", "draw", "seed"]], folder / "models.csv")
    write_arrays(folder / "kept.safetensors", {"kept": bank.kept[half].astype(np.uint8)})
    outcomes = bank.outcomes
    asked = outcomes["model_id"].isin(models["model_id"]) & outcomes["prompt_id"].isin(prompt_ids)
    columns = ["model_id", "prompt_id", "generation", "value"]
    write_parquet(folder / "outcomes.parquet", outcomes.loc[asked, columns])


def _about(run: Run, evidence: Evidence, complete: bool) -> dict[str, Any]:
    generator = run.generator
    spec = run.trainer.spec.settled(generator)
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": run.config.name,
        "unit": run.unit,
        "likelihood": has_likelihood(generator),
        "paired": generator.paired,
        "catalog": {
            "name": run.catalog.name,
            "resize": run.catalog.resize,
            "fingerprint": run.catalog.fingerprint,
        },
        "generator": {
            "name": spec.name,
            "seed": run.config.seed,
            "precision": spec.precision,
            "options": _options(run),
            "complete": complete,
            "frozen": generator.frozen,
        },
        "seeds": {"a": run.config.seed, "b": run.config.b_seed},
        "versions": {"untrain": untrain.__version__, **run.record.get("versions", {})},
        "machine": run.record.get("machine", {}),
    }


def _options(run: Run) -> dict[str, Any]:
    """Return what the generator is made with, whatever a preset of this name will be one day."""
    options, preset = run.config.generator.arguments(), getattr(run.generator, "preset", None)
    if "preset" in options and is_dataclass(preset) and not isinstance(preset, type):
        return {**options, "settings": asdict(preset)}
    return options


def _baseline(name: str, kind: str, scores: Scores) -> dict[str, Any]:
    seconds = float(scores.seconds)
    known = None if np.isnan(seconds) else seconds
    return {"name": name, "kind": kind, "seconds": known, "once": float(scores.once)}


def _write_sums(folder: Path) -> None:
    """Write what ``sha256sum -c SHA256SUMS`` reads."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = [hashlib.sha256(read_bytes(path, None)).hexdigest() for path in files]
    names = [path.relative_to(folder).as_posix() for path in files]
    sums = [f"{digest}  {name}" for digest, name in zip(hashes, names, strict=True)]
    write_text(folder / "SHA256SUMS", "\n".join(sums) + "\n")
