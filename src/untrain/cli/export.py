"""``untrain export`` and ``untrain sheet``: what a run found, for other tools and for people."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.cli import completion
from untrain.cli.options import RUN
from untrain.core.printing import say

if TYPE_CHECKING:
    import pandas as pd

PANEL = "Data, files and this machine"


class Layout(StrEnum):
    """What ``untrain export`` writes."""

    PAIRS = "pairs"
    STUDY = "study"


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("export", rich_help_panel=PANEL)(export)
    app.command("sheet", rich_help_panel=PANEL)(sheet)


def export(
    run: Path = RUN,
    out: Path | None = typer.Argument(
        None,
        help="Folder to write; must be new or empty. Of a card a file; default: print it.",
        show_default=False,
    ),
    model: str = typer.Option(
        "",
        help="Write what this model, such as B03, was trained on; default: without all "
        "targeted images.",
    ),
    layout: Layout = typer.Option(
        Layout.PAIRS,
        help="pairs: the retained data; study: the whole run in the files of the seed study.",
    ),
    to: str = typer.Option(
        "folder",
        "--to",
        help="Format of the pairs: folder, csv, coco, imagefolder, parquet, webdataset, datasets. "
        "Or scores, and a bank where there is one, for a library: dattri, kronfluence, trak, "
        "quanda. Or the run's pictures: fiftyone. Or what was measured: model-card, dataset-card.",
        autocompletion=completion.exports,
    ),
    method: list[str] = typer.Option(
        [],
        "--method",
        "-m",
        help="With scores: a method to ask the run's model by, such as leverage, beside the "
        "run's own rankings; repeatable.",
        autocompletion=completion.attributors,
    ),
) -> None:
    """Write the images and captions that a model was trained on, or scores for other libraries.

    Pairs are written as <id>.jpg or <id>.png beside <id>.txt, or in the format given by --to. With
    --layout study the whole run is written in the files of the seed study: generated and
    retrieved images by prompt, raw_comparison<k>.csv, similarities_gen_image<k>.csv,
    all_selected_images.txt, the images before and after, similarity_results__<n>.csv, and a
    README.txt that explains them. The original data is not changed.

    With --to dattri, kronfluence, trak or quanda, scores are written in the files of that library,
    of each ranking of a run, or of the methods of a benchmark (untrain benchmark export), and what
    the models of its bank do. `untrain benchmark score` reads such files. With --to fiftyone, the
    run's pictures, with and without their training images, and these, are written as a data set of
    FiftyOne. A card is the README.md of a model or a data set on the Hugging Face hub.

    Example: untrain export runs/demo retained/
    """
    from untrain.core.errors import InputError
    from untrain.core.targets import check_folder_target
    from untrain.exchange.registry import CARDS, EXCHANGES, SCORES
    from untrain.runs.find import find_run

    if to in CARDS or to in EXCHANGES:
        if model or layout is not Layout.PAIRS:
            raise InputError(f"--model and --layout are for pairs, not for --to {to}")
        if method and to not in SCORES:
            raise InputError(f"--method is for scores ({', '.join(SCORES)}), not for --to {to}")
        if method:
            check_folder_target(_needed(out))
            say(EXCHANGES[to](run, _needed(out), _asked(run, method)))
        elif to in EXCHANGES:
            say(EXCHANGES[to](run, _needed(out)))
        else:
            _card(CARDS[to](find_run(run)), out)
        return
    if method:
        raise InputError(f"--method is for scores (--to {', '.join(SCORES)}), not for pairs")
    _export_pairs(run, _needed(out), model, layout, to)


def _asked(run: Path, methods: list[str]) -> dict[str, pd.DataFrame]:
    """Ask a run's model; return the scores of each method, prompts × images."""
    import pandas as pd

    from untrain.api import attribute
    from untrain.core.tables import PROMPTS
    from untrain.runs.find import find_run

    folder = find_run(run)
    prompts = PROMPTS.read(folder)
    asked = prompts.loc[prompts["role"] == "query", "prompt_id"]
    found = attribute(folder, method=methods, prompts=list(asked), top=1)
    rows, columns = list(found.found.prompts["prompt_id"]), list(found.catalog.ids)
    return {name: pd.DataFrame(found.of(name), rows, columns) for name in found.methods}


def _card(text: str, out: Path | None) -> None:
    from untrain.core.files import write_text
    from untrain.core.targets import check_file_target

    if out is None:
        say(text, end="")
        return
    write_text(check_file_target(out), text)
    say(f"card: {out}")


def _needed(out: Path | None) -> Path:
    from untrain.core.errors import InputError

    if out is None:
        raise InputError("name the folder to write: untrain export RUN FOLDER")
    return out


def _export_pairs(run: Path, out: Path, model: str, layout: Layout, to: str) -> None:
    from untrain.catalogs.export import EXPORTS
    from untrain.catalogs.export import export as write
    from untrain.core.errors import InputError, did_you_mean
    from untrain.core.targets import check_folder_target
    from untrain.exchange.registry import CARDS, EXCHANGES
    from untrain.experiment.retained import removed_of
    from untrain.report.study.layout import export_study
    from untrain.runs.find import find_run
    from untrain.runs.run import open_run

    if to not in EXPORTS:
        raise InputError(
            f"unknown export format '{to}'{did_you_mean(to, [*EXPORTS, *EXCHANGES, *CARDS])}"
        )
    check_folder_target(out)
    folder = find_run(run)
    opened = open_run(folder)
    if layout is Layout.STUDY:
        if model:
            raise InputError(
                "--model works only with --layout pairs: "
                "the study's layout has one model for each prompt"
            )
        count = export_study(folder, opened.catalog, opened.encoder, out)
        say(f"{count} prompts in the study's layout: {out}")
        return
    removed = removed_of(opened, model)
    written = write(opened.catalog, removed, out, to)
    say(f"{written} pairs retained, {len(removed)} left out: {out}")


def sheet(
    run: Path = RUN,
    out: Path = typer.Argument(help="PNG to write."),
    cell: int = typer.Option(96, help="Side of each picture in pixels."),
    rows: int | None = typer.Option(None, min=1, help="Show only the first ROWS prompts."),
) -> None:
    """Draw a sheet of generated pictures: by model A, then with and without the forget set.

    It shows no training images. Below each row stand its prompt and the models; a sheet that was
    written before is replaced.

    Example: untrain sheet runs/demo demo.png
    """
    from untrain.catalogs.sheet import check_sheet_target, save_sheet
    from untrain.report.sheet import generated_sheet
    from untrain.runs.find import find_run

    check_sheet_target(out)
    folder = find_run(run)
    check_sheet_target(out, [folder])
    save_sheet(generated_sheet(folder, cell, rows), out)
    say(f"sheet: {out}")
