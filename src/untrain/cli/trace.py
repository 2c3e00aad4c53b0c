"""``untrain trace``: the training images nearest to pictures or words, without retraining."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.cli import completion
from untrain.cli.catalogue import open_encoder, open_of_run
from untrain.cli.data_options import DataOptions, takes_data
from untrain.cli.files import check_outputs, is_folder, sources_of
from untrain.cli.options import JSON
from untrain.cli.output import print_json

if TYPE_CHECKING:
    from untrain.catalogs import Catalog
    from untrain.encoders import Encoder

NONE = "none"
"""The method that leaves influence out."""
OUT_HELP = (
    "What to write: a table (.csv, .parquet), everything (.json), a page (.html), or a folder of "
    "pages to browse; repeatable."
)
SKIPPED = 2
"""The exit code if pictures were skipped, as for other bad input."""


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("trace", rich_help_panel="Start")(trace)


@takes_data("--data-option")
def trace(
    images: list[Path] = typer.Argument(
        None,
        help="Pictures to trace, in any format that Pillow reads; folders of them; or tables (CSV, "
        "Parquet) with a column of paths and perhaps one of prompts. None: --prompt is searched.",
        show_default=False,
    ),
    catalog: str = typer.Option(
        "", "--catalog", "-c", help="Training images: a folder, a file, or 'rendered'."
    ),
    run: Path | None = typer.Option(
        None,
        help="Use the training images and the encoder of this run, instead of --catalog.",
        autocompletion=completion.runs,
    ),
    prompt: str | None = typer.Option(
        None,
        "--prompt",
        "-p",
        help="Prompt of the pictures: captions are then compared as well. Without a picture: "
        "words to search the captions for.",
    ),
    out: list[Path] = typer.Option([], "--out", "-o", help=OUT_HELP),
    top: int = typer.Option(10, min=1, help="Number of training images to show."),
    picture_column: str = typer.Option(
        "", "--picture-column", metavar="NAME", help="Column of a table's pictures, if not found."
    ),
    prompt_column: str = typer.Option(
        "", "--prompt-column", metavar="NAME", help="Column of a table's prompts, if not found."
    ),
    encoder: str = typer.Option(
        "",
        help="layout (default), a model's folder or hub id, or your own module:function.",
        autocompletion=completion.encoders,
    ),
    pooling: str = typer.Option(
        "", help="Pooling of the encoder's features: mean, flatten, cls, pooler or projection."
    ),
    candidates: int = typer.Option(200, min=1, help="Number of images to compare by every metric."),
    index: str = typer.Option("exact", help="Vector index: exact, hnsw or ivfpq (approximate)."),
    ranking: str = typer.Option(
        "fusion",
        help="How metrics are combined: fusion, study, zscore, rrf, text, pixel_cosine, "
        "metric:NAME (such as metric:feature_cosine) or fitted:FILE (see untrain weights).",
        autocompletion=completion.rankings,
    ),
    method: str = typer.Option(
        "",
        "--method",
        "-m",
        help="With --run: how influence is computed, beside likeness: leverage (default), "
        "dtrak, trak, ekfac, …, or none, which saves the time.",
        autocompletion=completion.attributors,
    ),
    edited: str = typer.Option(
        "fast",
        help="How copies that were mirrored, recoloured, … are looked for: fast (whole pictures), "
        "thorough (cropped and turned ones, too; slower) or none.",
    ),
    as_json: bool = JSON,
    fresh: bool = typer.Option(
        False, "--fresh", help="Read and index the catalogue again and ignore the cache."
    ),
    *,
    data: DataOptions,
) -> None:
    """Find the training images nearest to pictures, or to words, in a whole catalogue.

    The first call indexes the catalogue; later calls take about a second for ten thousand images.
    Several pictures give a line each; every answer is in what --out writes: a folder or one .html
    to browse, or a table. With --run, the influence of the training images stands beside: how
    much worse the run's model would be at the picture without each. Neither is proof: `untrain
    run` measures what happens. Pictures that cannot be read are named and skipped, and the exit
    code is then 2.

    Example: untrain trace picture.png --catalog photos/ --prompt "red shirt" --out trace.html

    Example: untrain trace generated/ --catalog photos/ --out answers/

    Example: untrain trace --prompt "red watch" --catalog photos/
    """
    from untrain.cli.trace_output import json_of, print_trace, write_trace
    from untrain.core.errors import InputError
    from untrain.report.page.trace import run_notes
    from untrain.search.asked import asked_in, is_several
    from untrain.search.trace import trace as find

    if bool(catalog) == (run is not None):
        raise InputError("give the training images once: either --catalog or --run")
    if method and run is None:
        raise InputError("--method works only with --run: influence is that of a run's model")
    sources = sources_of(run) if run is not None else [Path(catalog)]
    check_outputs(out, [*(images or []), *sources], folders=True)
    if not images:
        _by_words(prompt, catalog, run, data, top, out, as_json, fresh)
        return
    asked = asked_in(images, picture_column or None, prompt_column or None)
    single = len(images) == 1 and not is_several(images[0])
    _check_pages(out, len(asked))
    if single:
        next(iter(asked.values()))  # what is wrong with it is said before the catalogue is read
    prompts = asked.prompts if prompt is None else prompt
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    with _colours_aside(not encoder):
        opened, own_encoder = _open(catalog, run, data, fresh)
    seconds["catalogue"] = time.perf_counter() - start
    start = time.perf_counter()
    used = open_encoder(encoder, pooling) or own_encoder
    loading = time.perf_counter() - start
    found = find(
        *(asked, opened, prompts, used, top, candidates, index, ranking, fresh, edited),
        strict=single,
    )
    files = {name: path for name, path in asked.files.items() if name in set(found.queries)}
    found = replace(
        found,
        seconds={**seconds, **found.seconds},
        about={**found.about, "encoder_load_seconds": round(loading, 4)},
        notes=(*found.notes, *(run_notes(run, files) if run else ())),
        skipped=(*asked.skipped, *found.skipped),
    )
    beside = None
    if run is not None and method != NONE:
        from untrain.api.asking import beside_trace

        start = time.perf_counter()
        beside, notes = beside_trace(found, opened, run, files, prompts, method or None, top)
        seconds = {**found.seconds, "influence": time.perf_counter() - start}
        found = replace(found, seconds=seconds, notes=(*found.notes, *notes))
    for path in out:
        write_trace(path, found, asked, opened, beside)
    if as_json:
        print_json(json_of(found, beside))
    else:
        print_trace(found, out, beside)
    if found.skipped:
        raise typer.Exit(SKIPPED)


def _open(
    catalog: str, run: Path | None, data: DataOptions, fresh: bool
) -> tuple[Catalog, Encoder | None]:
    from untrain.runs.find import find_run

    if run is not None:
        return open_of_run(find_run(run), fresh)
    return data.named(catalog, fresh), None


def _check_pages(out: list[Path], pictures: int) -> None:
    """Refuse a page of more pictures than a browser takes well."""
    from untrain.core.errors import InputError
    from untrain.report.page.trace_folder import ONE_PAGE

    for path in out:
        if path.suffix.lower() == ".html" and not is_folder(path) and pictures > ONE_PAGE:
            raise InputError(
                f"{pictures:,} pictures are too many for the one page {path} ({ONE_PAGE} at "
                f"most): name a folder instead, such as --out {path.with_suffix('')}"
            )


def _by_words(
    prompt: str | None,
    catalog: str,
    run: Path | None,
    data: DataOptions,
    top: int,
    out: list[Path],
    as_json: bool,
    fresh: bool,
) -> None:
    """Search the captions, where no picture was given."""
    from untrain.cli.trace_output import print_words, write_words
    from untrain.core.errors import InputError
    from untrain.search.by_words import find_by_words

    if prompt is None:
        raise InputError(
            "nothing to look for: give a picture, a folder or a table of pictures, or --prompt"
        )
    opened, _ = _open(catalog, run, data, fresh)
    found = find_by_words(opened, prompt, top, fresh)
    for path in out:
        write_words(path, found, opened)
    if as_json:
        print_json(found.to_dict())
    else:
        print_words(found, out)


@contextmanager
def _colours_aside(wanted: bool) -> Iterator[None]:
    """Have OpenCV make its tables of colours, which takes it a while, in another thread."""
    import numpy as np

    from untrain.encoders.layout import LayoutEncoder

    with ThreadPoolExecutor(1) as aside:
        if wanted:
            aside.submit(LayoutEncoder().encode, [np.zeros((8, 8, 3), np.uint8)])
        yield
