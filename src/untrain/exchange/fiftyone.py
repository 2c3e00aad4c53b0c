"""A run as a data set of FiftyOne, which need not be installed here.

``metadata.json`` and ``samples.json`` beside the pictures are what
``fiftyone.types.FiftyOneDataset`` imports (``fiftyone/utils/data/importers.py``; without a
``version`` it takes the fields of samples as they come)::

    import fiftyone as fo
    dataset = fo.Dataset.from_dir("pictures", dataset_type=fo.types.FiftyOneDataset)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from untrain.catalogs.base import PNG_SIGNATURE
from untrain.core.atomic import atomic_folder
from untrain.core.files import copy_file, write_bytes, write_json
from untrain.core.progress import track
from untrain.core.targets import check_folder_target
from untrain.report.answer import answer
from untrain.report.model_pairs import with_and_without
from untrain.report.notes import warnings
from untrain.report.ranking import main_ranking
from untrain.report.tables.effects import prompt_table
from untrain.runs.find import find_run
from untrain.runs.results import RunResults, read_results, rows
from untrain.runs.run import open_run

TOP = 10
Sample = dict[str, Any]


def to_fiftyone(given: Path, out: Path) -> str:
    """Write the pictures of a run as samples with their prompts, verdicts and similarities.

    Samples are tagged: ``generated`` (by model A, with the verdict on the prompt, its effect with
    limits and p, and the nearest training image), ``with_images`` and ``without_images`` (the same
    noise in a model that had the prompt's images and in one that had not), and ``training``: the
    first ten images of each prompt's ranking, with rank and score. An image that several prompts
    have is a sample of each.

    Parameters
    ----------
    given : Path
        As `untrain.runs.find.find_run` takes it.
    out : Path
        New or empty.

    Raises
    ------
    InputError
        There is no finished run, or the folder is not empty.
    """
    target = check_folder_target(out)
    folder = find_run(given)
    run = read_results(folder)
    with atomic_folder(target, marked=False) as place:
        samples = [*_generated(run, place), *_redrawn(run, place), *_training(run, place)]
        write_json(place / "samples.json", {"samples": samples})
        info = {
            "made_by": "untrain",
            "answer": answer(run),
            "warnings": [note.text for note in warnings(run)],
            "unit": run.unit,
            "ranking": next(iter(main_ranking(run)["method"]), ""),
        }
        about = {"name": folder.name, "media_type": "image", "info": info}
        write_json(place / "metadata.json", about)
    return f"{len(samples)} samples for FiftyOne: {out}"


def _generated(run: RunResults, place: Path) -> Iterator[Sample]:
    """Yield the pictures of model A."""
    nearest = run.copies.set_index(["prompt_id", "generation"])
    for _, row in prompt_table(run).iterrows():
        told: Sample = {name: str(row[name]) for name in ("prompt_id", "prompt", "role")}
        if row["verdict"]:
            told["verdict"] = {"_cls": "Classification", "label": str(row["verdict"])}
            told["reason"] = str(row["reason"])
        ends = {"low": "effect_low", "high": "effect_high", "p_value": "p_value"}
        told |= _numbers(row, {"effect": "effect", **ends})
        for number, path in _pictures(run.folder / "queries" / told["prompt_id"]):
            sample = _sample(path, place, f"A/{told['prompt_id']}-{number}", "generated")
            sample |= {"generation": number, "model": "A", **told}
            if (key := (told["prompt_id"], number)) in nearest.index:
                copy = nearest.loc[[key]].iloc[0]
                sample |= {"nearest_image": str(copy["image_id"])}
                sample |= {"near_copy": bool(copy["near_copy"])}
                sample |= _numbers(copy, {"distance": "nearest_distance"})
            yield sample


def _redrawn(run: RunResults, place: Path) -> Iterator[Sample]:
    """Yield the same noise in a model with the prompt's images, and in one without."""
    for prompt_id, text in run.texts.items():
        pair = with_and_without(run, prompt_id)
        for model, tag in zip(pair, ("with_images", "without_images"), strict=False):
            for number, path in _pictures(run.folder / "generations" / model / prompt_id):
                sample = _sample(path, place, f"{model}/{prompt_id}-{number}", tag)
                sample |= {"prompt_id": prompt_id, "prompt": text, "model": model}
                yield sample | {"generation": number}


def _training(run: RunResults, place: Path) -> Iterator[Sample]:
    """Yield the training images that rank first for each prompt, as the catalogue has them."""
    ranking = main_ranking(run)
    first = ranking[ranking["rank"] <= TOP]
    catalog = open_run(run.folder).catalog
    written: dict[str, str] = {}
    for row in track(list(rows(first)), "writing training images", len(first)):
        image_id = str(row.image_id)
        if image_id not in written:
            data = catalog.read(image_id)
            suffix = ".png" if data.startswith(PNG_SIGNATURE) else ".jpg"
            # By number: an id need not be a file's name.
            name = f"data/training/{catalog.index[image_id]:06d}{suffix}"
            write_bytes(place / name, data)
            written[image_id] = name
        yield {
            "filepath": written[image_id],
            "tags": ["training"],
            "image_id": image_id,
            "caption": catalog.captions[catalog.index[image_id]],
            "prompt_id": str(row.prompt_id),
            "prompt": run.texts.get(str(row.prompt_id), ""),
            "rank": int(row.rank),
            **_numbers(pd.Series({"score": row.score}), {"score": "similarity"}),
        }


def _pictures(folder: Path) -> list[tuple[int, Path]]:
    found = [(int(path.stem), path) for path in folder.glob("*.png") if path.stem.isdigit()]
    return sorted(found)


def _sample(source: Path, place: Path, name: str, tag: str) -> Sample:
    """Copy a picture; return the beginning of its sample."""
    target = place / "data" / f"{name}.png"
    copy_file(source, target)
    return {"filepath": target.relative_to(place).as_posix(), "tags": [tag]}


def _numbers(row: pd.Series, names: dict[str, str]) -> dict[str, float]:
    """Return the numbers of a row under other names; missing ones are left out."""
    return {new: float(row[old]) for old, new in names.items() if pd.notna(row[old])}
