"""Scores and banks in the files of other attribution libraries.

Each writer is given an empty folder and leaves there what its library reads by itself; the same
functions' sources say so (`untrain.search.rank.arrays` names them). ``.pt`` files hold one tensor
each, because dattri and quanda read no other; they can be read with ``weights_only=True``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from untrain.core import disk
from untrain.core.atomic import atomic_folder
from untrain.core.errors import InputError
from untrain.core.files import write_csv, write_json, write_text
from untrain.core.targets import check_folder_target
from untrain.core.tensors import write_array, write_arrays
from untrain.exchange.asked import Asked, Exchanged, read_exchanged, slug
from untrain.search.rank.arrays import ALL_MODULES, PAIRWISE

Write = Callable[[Exchanged, Path], list[str]]


def dattri(asked: Exchanged, folder: Path) -> list[str]:
    """Write ``scores/<method>.pt`` (images, prompts) and the ground truth of ``dattri.metric``.

    ``target_values_lds.pt`` is (models, prompts), minus the outcome, so that higher is better, as
    ``calculate_lds_ground_truth`` has it; ``indices_lds.pt`` is (models, images kept). Where models
    were trained on different numbers of images, shorter rows end in the number of images, and
    scores in a row of zeros, so that ``dattri.metric.lds`` adds nothing for them.
    """
    rows, padded = _indices(asked.kept) if asked.kept is not None else (None, False)
    for method, scores in asked.scores.items():
        zeros = np.zeros((int(padded), scores.shape[0]), np.float32)
        _save(folder / "scores" / f"{slug(method)}.pt", np.concatenate([scores.T, zeros]))
    said = ["`scores/METHOD.pt`: a tensor (images, prompts), as `attribute` returns it"]
    if rows is not None and asked.outcomes is not None:
        _save(folder / "target_values_lds.pt", -asked.outcomes)
        _save(folder / "indices_lds.pt", rows)
        said.append(
            "`target_values_lds.pt`, `indices_lds.pt`: the pair that `dattri.metric.lds(scores, "
            "(target_values, indices))` takes; target values are minus the outcome"
        )
    if padded:
        said.append(
            "Models were trained on different numbers of images: shorter rows of the indices are "
            "filled up with the number of images, and scores end in a row of zeros for it. Give "
            "your own scores such a row, too"
        )
    return said


def kronfluence(asked: Exchanged, folder: Path) -> list[str]:
    """Write ``scores_<method>/pairwise_scores.safetensors`` (prompts, images)."""
    for method, scores in asked.scores.items():
        place = folder / f"scores_{slug(method)}"
        write_arrays(place / PAIRWISE, {ALL_MODULES: scores})
    return [
        f"`scores_METHOD/{PAIRWISE}`: `{ALL_MODULES}` (prompts, images); copied into the folder of "
        "an analysis, `analyzer.load_pairwise_scores(METHOD)` reads it"
    ]


def trak(asked: Exchanged, folder: Path) -> list[str]:
    """Write ``scores/<method>.mmap`` (images, prompts) and ``experiments.json``."""
    records = {}
    for method, scores in asked.scores.items():
        name = slug(method)
        place = folder / "scores" / f"{name}.mmap"
        write_array(place, np.ascontiguousarray(scores.T, np.float32))
        records[name] = {
            "num_targets": len(scores),
            "scores_path": place.relative_to(folder).as_posix(),
            "scores_finalized": 1,
        }
    write_json(folder / "experiments.json", records)
    return [
        "`scores/METHOD.mmap`: (images, prompts), as `TRAKer.finalize_scores` leaves it in its "
        "`save_dir`; `experiments.json` names the methods as experiments"
    ]


def quanda(asked: Exchanged, folder: Path) -> list[str]:
    """Write ``explanations/<method>/0.pt`` (prompts, images) and ``subset_ids.yaml``."""
    for method, scores in asked.scores.items():
        _save(folder / "explanations" / slug(method) / "0.pt", scores)
    said = ["`explanations/METHOD/0.pt`: (prompts, images); `ExplanationsCache.load` reads it"]
    if asked.kept is not None:
        subsets = [np.flatnonzero(row).tolist() for row in asked.kept]
        write_text(folder / "subset_ids.yaml", yaml.safe_dump(subsets, default_flow_style=True))
        said.append(
            "`subset_ids.yaml`: the images of each model, `subset_ids` of "
            "`LinearDatamodelingMetric`, which wants the models themselves, too; what they did is "
            "in `outcomes.csv`"
        )
    return said


def to_dattri(given: Path, out: Path, further: Asked | None = None) -> str:
    """Write scores and ground truth for dattri; see `dattri`."""
    return _write(dattri, "dattri", given, out, further)


def to_kronfluence(given: Path, out: Path, further: Asked | None = None) -> str:
    """Write scores for kronfluence; see `kronfluence`."""
    return _write(kronfluence, "kronfluence", given, out, further)


def to_trak(given: Path, out: Path, further: Asked | None = None) -> str:
    """Write scores for TRAK; see `trak`."""
    return _write(trak, "TRAK", given, out, further)


def to_quanda(given: Path, out: Path, further: Asked | None = None) -> str:
    """Write scores and subsets for quanda; see `quanda`."""
    return _write(quanda, "quanda", given, out, further)


def _write(write: Write, library: str, given: Path, out: Path, further: Asked | None) -> str:
    """Write a folder for a library, whole or not at all, and say what is in it.

    Beside the library's files it has ``images.csv`` and ``queries.csv``, which say what columns and
    rows are, ``outcomes.csv`` of a bank, and a ``README.md``.

    Raises
    ------
    InputError
        There is nothing to write, the folder is not empty, or two methods would be one file.
    """
    target, asked = check_folder_target(out), read_exchanged(given, further)
    names = [slug(method) for method in asked.scores]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two methods would both be called {min(twice)}: rename their files")
    with atomic_folder(target, marked=False) as place:
        said = write(asked, place)
        write_csv(place / "images.csv", asked.images, exact=True)
        write_csv(place / "queries.csv", asked.prompts, exact=True)
        if asked.outcomes is not None:
            columns = list(asked.prompts["prompt_id"])
            write_csv(
                place / "outcomes.csv", pd.DataFrame(asked.outcomes, columns=columns), exact=True
            )
        write_text(place / "README.md", _readme(library, asked, said))
    bank = "" if asked.kept is None else f" and a bank of {len(asked.kept)} models"
    return (
        f"scores of {', '.join(names)} for {len(asked.prompts)} prompts and {len(asked.images)} "
        f"images{bank}, for {library}: {out}"
    )


def _readme(library: str, asked: Exchanged, said: list[str]) -> str:
    models = "no bank" if asked.kept is None else f"a bank of {len(asked.kept)} models"
    lines = [
        f"# {asked.name} for {library}",
        "",
        f"{len(asked.images)} training images, {len(asked.prompts)} prompts and {models}, written "
        "by untrain. Images are in the order of `images.csv`, prompts in that of `queries.csv`. A "
        "prompt's score is that of all its pictures together. Higher: the method holds the image "
        "for more responsible. A method by likeness (`fusion`, `study` and other rankings) orders "
        "images by how alike they are, which is no proof of influence.",
        "",
        *(f"- {line}." for line in said),
    ]
    if asked.outcomes is not None:
        lines.append(
            "- `outcomes.csv`: what each model (a row) makes of each prompt's pictures; higher is "
            "worse."
        )
    if some := {name: share for name, share in asked.filled.items() if share}:
        shares = ", ".join(f"{slug(name)} {share:.0%}" for name, share in some.items())
        lines.append(
            f"- Images that a method did not score (share of all pairs: {shares}) have its lowest "
            "score of the prompt: they are ties, which lower rank correlations such as the LDS."
        )
    return "\n".join(lines) + "\n"


def _indices(kept: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the images of each model as rows of equal length, and whether any was filled up."""
    rows = [np.flatnonzero(row) for row in kept]
    longest = max(len(row) for row in rows)
    filled = [np.pad(row, (0, longest - len(row)), constant_values=kept.shape[1]) for row in rows]
    return np.stack(filled), any(len(row) < longest for row in rows)


def _save(path: Path, values: np.ndarray) -> None:
    import torch

    disk.make_folder(path.parent)
    torch.save(torch.from_numpy(np.ascontiguousarray(values)), path)
