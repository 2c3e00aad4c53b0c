"""Runs as the page shows them: how far they are, what they found, pictures with and without."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from untrain.api.result import Result
from untrain.core.errors import InputError, UntrainError
from untrain.report.answer import answer_sentences
from untrain.runs.find import runs_in
from untrain.runs.results import read_results
from untrain.runs.status import Status, status

FEW = 8  # pictures of a prompt that are shown at first


def run_list(runs: Path, own: Path | None) -> list[dict[str, Any]]:
    """Return every run in a folder, and the one that is served: name, state and answer."""
    folders = {folder.resolve(): folder for folder in runs_in(runs)}
    if own is not None:
        folders.setdefault(own.resolve(), own)
    return [_told(folder) for folder in folders.values()]


def run_named(runs: Path, own: Path | None, name: str) -> Path:
    """Return the folder of a run by its name; no other folder can be named.

    Raises
    ------
    KeyError
        There is none.
    """
    known = {folder.name: folder for folder in runs_in(runs)}
    if own is not None:
        known[own.name] = own
    return known[name]


def _told(folder: Path) -> dict[str, Any]:
    try:
        how_far = status(folder)
    except UntrainError as error:
        return {"name": folder.name, "state": "unreadable", "answer": str(error), "done": ""}
    answer = ""
    with suppress(UntrainError):
        answer = answer_sentences(read_results(folder))[0]
    done = f"{how_far.done} of {len(how_far.stages)} stages"
    return {"name": folder.name, "state": how_far.state, "answer": answer, "done": done}


def run_parts(folder: Path) -> dict[str, Any]:
    """Return what the template of a run takes."""
    how_far = status(folder)
    parts: dict[str, Any] = {
        "name": folder.name,
        "status": how_far,
        "progress": progress_of(how_far),
        "answer": [],
        "warnings": list(how_far.warnings),
        "prompts": [],
        "report": (folder / "report.html").is_file(),
        "figures": _figures(folder),
    }
    result = Result(folder)
    with suppress(InputError):
        parts["answer"] = answer_sentences(read_results(folder))
        parts["warnings"] = result.warnings
    with suppress(InputError):
        parts["prompts"] = _prompts(result)
    return parts


def progress_of(how_far: Status) -> dict[str, Any]:
    """Return how far a run is, as JSON."""
    return {
        "state": how_far.state,
        "done": how_far.done,
        "stages": [{"name": s.name, "state": s.state} for s in how_far.stages],
        "models": how_far.models,
        "models_wanted": how_far.models_wanted,
        "last": how_far.last,
    }


def _prompts(result: Result) -> list[dict[str, Any]]:
    verdicts: dict[str, str] = {}
    with suppress(InputError):
        table = result.verdicts
        verdicts = dict(zip(table["prompt_id"], table["verdict"].astype(str), strict=True))
    shown = []
    for row in result.prompts.itertuples():
        prompt_id = str(row.prompt_id)
        numbers = picture_numbers(result.folder, "A", prompt_id)
        pair: tuple[str, ...] = ()
        with suppress(UntrainError):
            pair = result.with_and_without(prompt_id)
        effect = None
        with suppress(UntrainError):
            effect = result.effect(prompt_id)
        shown.append(
            {
                "id": prompt_id,
                "text": row.prompt,
                "role": row.role,
                "verdict": verdicts.get(prompt_id, ""),
                "effect": effect,
                "numbers": numbers[:FEW],
                "pair": pair if len(pair) == 2 else (),
            }
        )
    return shown


def picture_numbers(folder: Path, model: str, prompt_id: str) -> list[int]:
    """Return which pictures a model drew for a prompt."""
    paths = _pictures_of(folder, model, prompt_id).glob("*.png")
    return sorted(int(path.stem) for path in paths if path.stem.isdecimal())


def picture_file(folder: Path, model: str, prompt_id: str, number: int) -> Path:
    """Return the file of a picture.

    Raises
    ------
    KeyError
        There is none; no path leads out of the run.
    """
    path = _pictures_of(folder, model, prompt_id) / f"{number}.png"
    if not (path.resolve().is_relative_to(folder.resolve()) and path.is_file()):
        raise KeyError(number)
    return path


def _pictures_of(folder: Path, model: str, prompt_id: str) -> Path:
    if any(part in ("", ".", "..") or "/" in part or "\\" in part for part in (model, prompt_id)):
        raise KeyError(prompt_id)
    return (folder / "queries" if model == "A" else folder / "generations" / model) / prompt_id


def _figures(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "results" / "figures").glob("*.svg"))
