"""Rewriting the page of a finished run: on request, or after something was added to the run."""

from __future__ import annotations

import hashlib
from pathlib import Path

from untrain.core.errors import Damaged, InputError
from untrain.core.files import json_file, read_json, write_json
from untrain.core.manifest import expected

CHOICE = ("results", "page.json")
PUBLIC = "report-public.html"


def write_page(folder: Path, training_images: bool = True) -> Path:
    """Write a run's page from its folder, and remember whether it shows training images.

    Raises
    ------
    InputError
        The run is not finished.
    """
    from untrain.report.page.write import write_report

    _check_finished(folder)
    # First, so that an interruption between the two shows less, not more.
    write_json(folder.joinpath(*CHOICE), {"training_images": training_images})
    return write_report(folder, training_images=training_images)


def write_public(folder: Path) -> Path:
    """Write a run's page without training images beside its own one, which stays as it is.

    Raises
    ------
    InputError
        The run is not finished.
    """
    from untrain.core.files import write_text
    from untrain.report.figures import figures
    from untrain.report.page.write import render
    from untrain.runs.results import read_results

    _check_finished(folder)
    found = read_results(folder)
    write_text(folder / PUBLIC, render(found, figures(found), training_images=False))
    return folder / PUBLIC


def _check_finished(folder: Path) -> None:
    if not (folder / "captions.parquet").is_file():
        raise InputError(
            f"{folder} is not finished, so there is nothing to report yet; "
            f"`untrain status {folder}` shows its progress"
        )


def write_again(folder: Path) -> Path | None:
    """Rewrite a run's page as it was, with or without training images; None if there is none."""
    if not (folder / "report.html").is_file():
        return None
    if (folder / PUBLIC).is_file():
        write_public(folder)
    return write_page(folder, shows_training_images(folder))


def shows_training_images(folder: Path) -> bool:
    """Tell whether a run's page was last requested with training images, the default.

    Also where the file that says so is damaged or gone, by the checksum that it had.
    """
    known = folder.joinpath(*CHOICE)
    try:
        return bool(read_json(known)["training_images"])
    except FileNotFoundError:
        return _choice_that_was(known) is not False
    except Damaged:
        if (choice := _choice_that_was(known)) is None:
            raise
        return choice


def _choice_that_was(known: Path) -> bool | None:
    wanted = expected(known)
    for choice in (False, True):
        data = json_file({"training_images": choice})
        if hashlib.sha256(data).hexdigest() in wanted:
            return choice
    return None
