"""Runs as the page shows them: how far they are, what they found, pictures with and without."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from untrain.api.result import Result
from untrain.core.errors import Damaged, InputError, UntrainError
from untrain.core.text import is_part
from untrain.report.answer import answer_sentences
from untrain.report.model_pairs import with_and_without
from untrain.report.notes import warnings
from untrain.report.tables.effects import prompt_table
from untrain.runs.find import RECORD, runs_in
from untrain.runs.results import RunResults, read_results, rows
from untrain.runs.status import Status, status
from untrain.serve.keeping import Latest
from untrain.serve.results import effect_words, sections_of, tally, verdict_section

QUICKSTART = "quickstart.json"  # in the folder of a quickstart, see `untrain.quickstart`
NOTHING: dict[str, Any] = {"answer": "", "tally": [], "withheld": False, "results": []}
"""What the list says of a run without results."""
FEW = 8  # pictures of a prompt that are shown at first


def run_folders(runs: Path, own: Path | None) -> dict[str, Path]:
    """Return the folders of all runs in a folder, and of the one that is served, by name."""
    known = {folder.name: folder for folder in runs_in(runs)}
    if own is not None:
        known[own.name] = own
    return known


def with_trials(runs: Path, own: Path | None) -> dict[str, Path]:
    """Return `run_folders`, and trials of quickstarts beside that folder: ``quickstart:trial``."""
    known = run_folders(runs, own)
    records = sorted(runs.parent.glob(f"*/{QUICKSTART}"))
    served = {folder.resolve() for folder in known.values()} if records else set()
    for record in records:
        trials = {f"{record.parent.name}:{each.name}": each for each in runs_in(record.parent)}
        known |= {name: each for name, each in trials.items() if each.resolve() not in served}
    return known


def run_named(runs: Path, own: Path | None, name: str) -> Path:
    """Return the folder of a run by its name; no other folder can be named.

    It looks at that folder only: a page of pictures asks as often, beside hundreds of runs.

    Raises
    ------
    KeyError
        There is none.
    """
    if own is not None and name == own.name:
        return own
    place, _, trial = name.rpartition(":")
    with suppress(OSError, ValueError):  # longer than a name may be, say
        if _is_plain(name) and (runs / name / RECORD).is_file():
            return runs / name
        beside = runs.parent / place
        quickstart = _is_plain(place) and (beside / QUICKSTART).is_file()
        if quickstart and _is_plain(trial) and (beside / trial / RECORD).is_file():
            return beside / trial
    raise KeyError(name)


def _is_plain(name: str) -> bool:
    """Tell whether a name is that of something in a folder, and leads nowhere else."""
    return name not in ("", ".", "..") and not {"/", "\\"} & set(name)


def finished_runs(runs: Path, own: Path | None) -> list[str]:
    """Return the names of the runs that have effects, which two of can be compared."""
    known = run_folders(runs, own)
    return [name for name in known if (known[name] / "results" / "effects.parquet").is_file()]


class Told:
    """What the list of runs says of each: how far it is, and its answer if it is finished.

    An answer is read from a dozen tables. It is kept until a file of the run is written.

    Parameters
    ----------
    most : int
        Runs whose answers are kept.
    """

    def __init__(self, most: int) -> None:
        self._answers: Latest[dict[str, Any]] = Latest(most)

    def __call__(self, name: str, folder: Path) -> dict[str, Any]:
        """Return name, state, ``done`` in words, and what `_answered` gives."""
        try:
            how_far = status(folder)
        except UntrainError as error:
            return {
                "name": name,
                "state": "unreadable",
                "done": "",
                **NOTHING,
                "answer": str(error),
            }
        key = folder, written(folder)
        answered = self._answers.get(key)
        if answered is None:
            answered = _answered(folder)
            self._answers.keep(key, answered)
        done = f"{how_far.done} of {len(how_far.stages)} stages"
        return {"name": name, "state": how_far.state, "done": done, **answered}


def written(folder: Path) -> tuple[tuple[int, int, int], ...]:
    """Return what changes whenever untrain writes a file of a run, or one of its results.

    A file is renamed into place, which its folder's time tells; ``run.json`` in the case that two
    were within a tick of the clock.
    """
    known = []
    for path in (folder, folder / RECORD, folder / "results"):
        with suppress(OSError):
            state = path.stat()
            known.append((state.st_mtime_ns, state.st_ino, state.st_size))
    return tuple(known)


def _answered(folder: Path) -> dict[str, Any]:
    """Return the first sentence of a run's answer, its verdicts counted, and what else it has."""
    found = dict(NOTHING)
    try:
        read = read_results(folder)
        found["answer"] = answer_sentences(read)[0]
        found["tally"], found["withheld"] = tally(read), read.withheld
    except Damaged as error:
        found["answer"] = _sentence(error)
    except UntrainError:  # it has no results yet
        pass
    found["results"] = [section["title"] for section in sections_of(folder, [])]
    return found


def _sentence(error: Damaged) -> str:
    """Return what is damaged, and what makes it again."""
    words = str(error)
    return words[:1].upper() + words[1:] + "."


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
    try:
        read = read_results(folder)
        parts["answer"] = answer_sentences(read)
        parts["warnings"] = [note.text for note in warnings(read)]
        parts["tally"], parts["withheld"] = tally(read), read.withheld
        parts["verdicts"] = None if read.withheld else verdict_section(read)
    except Damaged as error:
        parts["answer"] = [_sentence(error)]
    except InputError:  # it has no results yet
        pass
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
        if read:
            with suppress(UntrainError):
                pair = with_and_without(read, prompt_id)
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
        The name of a model or prompt is no name.
    """
    return _pictures_of(folder, model, prompt_id) / f"{number}.png"


def _pictures_of(folder: Path, model: str, prompt_id: str) -> Path:
    if not (is_part(model) and is_part(prompt_id)):
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
