"""Runs as the page shows them: how far they are, what they found, pictures with and without."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from untrain.api.result import Result
from untrain.core.errors import InputError, UntrainError
from untrain.report.answer import answer_sentences
from untrain.report.tables.effects import prompt_table
from untrain.runs.find import runs_in
from untrain.runs.results import RunResults, read_results, rows
from untrain.runs.status import Status, status
from untrain.serve.results import effect_words, sections_of, tally, verdict_section

QUICKSTART = "quickstart.json"  # in the folder of a quickstart, see `untrain.quickstart`
FEW = 8  # pictures of a prompt that are shown at first


def run_list(runs: Path, own: Path | None) -> list[dict[str, Any]]:
    """Return every run in a folder, the one that is served, and trials: name, state and answer."""
    return [_told(name, folder) for name, folder in _with_trials(runs, own).items()]


def run_folders(runs: Path, own: Path | None) -> dict[str, Path]:
    """Return the folders of all runs in a folder, and of the one that is served, by name."""
    known = {folder.name: folder for folder in runs_in(runs)}
    if own is not None:
        known[own.name] = own
    return known


def _with_trials(runs: Path, own: Path | None) -> dict[str, Path]:
    """Return `run_folders`, and trials of quickstarts beside that folder: ``quickstart:trial``."""
    known = run_folders(runs, own)
    served = {folder.resolve() for folder in known.values()}
    for record in sorted(runs.parent.glob(f"*/{QUICKSTART}")):
        trials = {f"{record.parent.name}:{each.name}": each for each in runs_in(record.parent)}
        known |= {name: each for name, each in trials.items() if each.resolve() not in served}
    return known


def run_named(runs: Path, own: Path | None, name: str) -> Path:
    """Return the folder of a run by its name; no other folder can be named.

    Raises
    ------
    KeyError
        There is none.
    """
    return _with_trials(runs, own)[name]


def finished_runs(runs: Path, own: Path | None) -> list[str]:
    """Return the names of the runs that have effects, which two of can be compared."""
    known = run_folders(runs, own)
    return [name for name in known if (known[name] / "results" / "effects.parquet").is_file()]


def _told(name: str, folder: Path) -> dict[str, Any]:
    try:
        how_far = status(folder)
    except UntrainError as error:
        told = {"name": name, "state": "unreadable", "answer": str(error)}
        return {**told, "tally": [], "withheld": False, "done": "", "results": []}
    answer, counts, withheld = "", list[tuple[str, int]](), False
    with suppress(UntrainError):
        read = read_results(folder)
        answer, counts, withheld = answer_sentences(read)[0], tally(read), read.withheld
    return {
        "name": name,
        "state": how_far.state,
        "answer": answer,
        "tally": counts,
        "withheld": withheld,
        "done": f"{how_far.done} of {len(how_far.stages)} stages",
        "results": [section["title"] for section in sections_of(folder, [])],
    }


def run_parts(name: str, folder: Path) -> dict[str, Any]:
    """Return what the template of a run takes."""
    how_far = status(folder)
    parts: dict[str, Any] = {
        "name": name,
        "status": how_far,
        "progress": progress_of(how_far),
        "answer": [],
        "warnings": list(how_far.warnings),
        "prompts": [],
        "tally": [],
        "verdicts": None,
        "withheld": False,
        "report": (folder / "report.html").is_file(),
        "sections": sections_of(folder, _figures(folder)),
    }
    result = Result(folder)
    read: RunResults | None = None
    with suppress(InputError):
        read = read_results(folder)
        parts["answer"] = answer_sentences(read)
        parts["warnings"] = result.warnings
        parts["tally"], parts["withheld"] = tally(read), read.withheld
        parts["verdicts"] = None if read.withheld else verdict_section(read)
    with suppress(InputError):
        parts["prompts"] = _prompts(result, read)
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


def _prompts(result: Result, read: RunResults | None) -> list[dict[str, Any]]:
    known = {row.prompt_id: row for row in rows(prompt_table(read))} if read else {}
    shown = []
    for row in rows(result.prompts):
        prompt_id = str(row.prompt_id)
        numbers = picture_numbers(result.folder, "A", prompt_id)
        pair: tuple[str, ...] = ()
        with suppress(UntrainError):
            pair = result.with_and_without(prompt_id)
        found = known.get(prompt_id)
        shown.append(
            {
                "id": prompt_id,
                "text": row.prompt,
                "role": row.role,
                "verdict": found.verdict if found else "",
                "effect": effect_words(found, read) if found and read else "",
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


def figure_file(folder: Path, name: str) -> Path:
    """Return the file of a figure (SVG).

    Raises
    ------
    KeyError
        There is none of this name.
    """
    if name not in _figures(folder):
        raise KeyError(name)
    return folder / "results" / "figures" / f"{name}.svg"


def _figures(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "results" / "figures").glob("*.svg"))
