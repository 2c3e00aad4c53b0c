"""``untrain trace``: the training images nearest to a picture, without retraining."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from untrain.cli import completion
from untrain.cli.catalogue import open_encoder, open_named, open_of_run
from untrain.cli.files import OUT_HELP, check_outputs, sources_of
from untrain.cli.options import JSON

if TYPE_CHECKING:
    import numpy as np

    from untrain.attribution.side_by_side import SideBySide
    from untrain.catalogs import Catalog
    from untrain.search.trace import Trace


NONE = "none"
"""The method that leaves influence out."""


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("trace", rich_help_panel="Start")(trace)


def trace(
    images: list[Path] = typer.Argument(help="Pictures to trace, in any format that Pillow reads."),
    catalog: str = typer.Option(
        "", "--catalog", "-c", help="Training images: a folder, a file, or 'rendered'."
    ),
    format: str = typer.Option(
        "",
        help="Format of the catalogue, such as folder or csv; guessed if left out.",
        autocompletion=completion.formats,
    ),
    run: Path | None = typer.Option(
        None,
        help="Use the training images and the encoder of this run, instead of --catalog.",
        autocompletion=completion.runs,
    ),
    prompt: str | None = typer.Option(
        None, "--prompt", "-p", help="Prompt of the pictures: captions are then compared as well."
    ),
    encoder: str = typer.Option(
        "",
        help="layout (default), a model's folder or hub id, or your own module:function.",
        autocompletion=completion.encoders,
    ),
    pooling: str = typer.Option(
        "", help="Pooling of the encoder's features: mean, flatten, cls, pooler or projection."
    ),
    top: int = typer.Option(10, min=1, help="Number of training images to show."),
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
    out: list[Path] = typer.Option([], "--out", "-o", help=OUT_HELP),
    as_json: bool = JSON,
    fresh: bool = typer.Option(
        False, "--fresh", help="Read and index the catalogue again and ignore the cache."
    ),
) -> None:
    """Find the training images nearest to a picture in a whole catalogue.

    The first call indexes the catalogue; later calls take about a second for ten thousand images.
    With --run, the influence of the training images stands beside: how much worse the run's model
    would be at the picture without each. Neither is proof: `untrain run` measures what happens.

    Example: untrain trace picture.png --catalog photos/ --prompt "red shirt" --out trace.html
    """
    from untrain.core.errors import InputError
    from untrain.report.page.trace import run_notes
    from untrain.runs.find import find_run
    from untrain.runs.pictures import NamedPictures, named_files
    from untrain.search.trace import trace as find

    check_outputs(out, [*images, Path(catalog)] if catalog else images)
    if bool(catalog) == (run is not None):
        raise InputError("give the training images once: either --catalog or --run")
    if method and run is None:
        raise InputError("--method works only with --run: influence is that of a run's model")
    if run is not None:
        check_outputs(out, sources_of(run))
    named = named_files(images)
    pictures = NamedPictures(named)
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    with _colours_aside(not encoder):
        if run is not None:
            opened, own_encoder = open_of_run(find_run(run), fresh)
        else:
            opened, own_encoder = open_named(catalog, format, fresh), None
    seconds["catalogue"] = time.perf_counter() - start
    start = time.perf_counter()
    used = open_encoder(encoder, pooling) or own_encoder
    loading = time.perf_counter() - start
    found = find(pictures, opened, prompt, used, top, candidates, index, ranking, fresh, edited)
    found = replace(
        found,
        seconds={**seconds, **found.seconds},
        about={**found.about, "encoder_load_seconds": round(loading, 4)},
        notes=(*found.notes, *(run_notes(run, named) if run else ())),
    )
    beside = None
    if run is not None and method != NONE:
        from untrain.api.asking import beside_trace

        start = time.perf_counter()
        beside, notes = beside_trace(found, opened, run, named, prompt, method or None, top)
        seconds = {**found.seconds, "influence": time.perf_counter() - start}
        found = replace(found, seconds=seconds, notes=(*found.notes, *notes))
    for path in out:
        _write(path, found, pictures, opened, beside)
    if as_json:
        typer.echo(json.dumps(_json(found, beside), indent=2, ensure_ascii=False))
    else:
        _print(found, out, beside)


@contextmanager
def _colours_aside(wanted: bool) -> Iterator[None]:
    """Have OpenCV make its tables of colours, which takes it a while, in another thread."""
    import numpy as np

    from untrain.encoders.layout import LayoutEncoder

    with ThreadPoolExecutor(1) as aside:
        if wanted:
            aside.submit(LayoutEncoder().encode, [np.zeros((8, 8, 3), np.uint8)])
        yield


def _json(found: Trace, beside: SideBySide | None) -> dict[str, Any]:
    values = found.to_dict()
    if beside is not None:
        for query in values["queries"]:
            query["influence"] = beside.to_dict(query["query"])
    return values


def _write(
    path: Path,
    found: Trace,
    pictures: Mapping[str, np.ndarray],
    catalog: Catalog,
    beside: SideBySide | None,
) -> None:
    from untrain.core.files import write_csv, write_json, write_parquet, write_text

    kind = path.suffix.lower()
    if kind == ".html":
        from untrain.report.page.trace import trace_page

        write_text(path, trace_page(found, pictures, catalog, beside))
    elif kind == ".json":
        write_json(path, _json(found, beside))
    elif kind == ".parquet":
        write_parquet(path, found.table)
    else:
        write_csv(path, found.table)


def _print(found: Trace, out: Sequence[Path], beside: SideBySide | None) -> None:
    from untrain.report.edited import copy_sentence
    from untrain.report.page.trace import copy_verdict

    console = Console(highlight=False)
    for copy in found.copies.itertuples():
        console.print(_table(found, str(copy.query)))
        style = "bold" if copy.near_copy else ""
        console.print(Text(copy_verdict(copy), style), soft_wrap=True)
        own = found.edited[found.edited["query"] == copy.query]
        if len(own):
            style = "bold" if (own["verdict"] != "similar").any() else ""
            words = copy_sentence(own, found.about["edited"])
            console.print(Text(words, style), soft_wrap=True)
        if beside is not None:
            console.print(_influence(beside, str(copy.query)))
            console.print(f"likeness and influence: {beside.agreement[str(copy.query)]}")
        console.print()
    for note in found.notes:
        console.print(f"[yellow]note:[/] {escape(str(note))}", soft_wrap=True)
    about = found.about
    console.print(
        f"{sum(found.seconds.values()):.2f} s for {about['images']:,} images of "
        f"{escape(about['catalog'])}; {about['candidates']} compared by every metric, ranking "
        f"{escape(about['ranking'])}"
        + (f"; influence took {found.seconds['influence']:.2f} s of it" if beside else ""),
        soft_wrap=True,
    )
    for path in out:
        console.print(f"written: [bold]{escape(str(path))}[/]", soft_wrap=True)


def _table(found: Trace, query: str) -> Table:
    hits = found.table[found.table["query"] == query]
    table = Table(title=escape(query), title_justify="left")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("image", no_wrap=True, max_width=24)
    with_text = "text_tfidf" in hits
    for name in ("score", "cosine", *(["text"] if with_text else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("copy", no_wrap=True)
    table.add_column("caption")  # the one that gives way on a narrow terminal
    for hit in hits.to_dict("records"):
        row: list[Any] = [hit["rank"], escape(hit["image_id"]), f"{hit['score']:.2f}"]
        row.append(f"{1 - hit['distance']:.3f}")
        row += [f"{hit['text_tfidf']:.2f}"] if with_text else []
        caption = Text(hit["caption"], no_wrap=True, overflow="ellipsis")
        table.add_row(*map(str, row), _copy(hit), caption)
    return table


def _influence(beside: SideBySide, query: str) -> Table:
    """Return the images that the model stands on most, and where likeness places them."""
    from untrain.report.attribution import number

    hits = beside.table(query)
    hits = hits[hits["influence_rank"] <= beside.top].sort_values("influence_rank")
    table = Table(title=escape(f"{query}, by influence ({beside.method})"), title_justify="left")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("image", no_wrap=True, max_width=24)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("# likeness", justify="right", no_wrap=True)
    table.add_column("caption")
    for hit in hits.to_dict("records"):
        near = hit["likeness_rank"]
        place = "–" if near != near else f"{near:.0f}"
        row = [f"{hit['influence_rank']:.0f}", escape(hit["image_id"])]
        row += [number(hit["influence_score"]), place]
        style = "" if near <= beside.top else "bold"
        caption = Text(hit["caption"], no_wrap=True, overflow="ellipsis")
        table.add_row(*row, caption, style=style)
    return table


def _copy(hit: dict) -> str:
    if hit["same_as"]:
        return f"= {escape(hit['same_as'])}"
    return "[bold]near copy[/]" if hit["near_copy"] else ""
