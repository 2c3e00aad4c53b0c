"""``untrain trace``: the training images nearest to a picture, without retraining."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from untrain.cli import completion
from untrain.cli.catalogue import open_catalogue
from untrain.cli.options import JSON

if TYPE_CHECKING:
    import numpy as np

    from untrain.catalogs import Catalog
    from untrain.encoders import Encoder
    from untrain.search.trace import Trace

KINDS = (".csv", ".parquet", ".json", ".html")


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
    out: list[Path] = typer.Option(
        [], "--out", "-o", help="File to write (.csv, .parquet, .json or .html); repeatable."
    ),
    as_json: bool = JSON,
    fresh: bool = typer.Option(
        False, "--fresh", help="Read and index the catalogue again and ignore the cache."
    ),
) -> None:
    """Find the training images nearest to a picture in a whole catalogue.

    The first call indexes the catalogue; later calls take about a second for ten thousand images.
    Similarity does not prove influence: `untrain run` measures that.

    Example: untrain trace picture.png --catalog photos/ --prompt "red shirt" --out trace.html
    """
    from untrain.catalogs.base import read_image
    from untrain.core.errors import InputError
    from untrain.report.page.trace import run_notes
    from untrain.search.trace import trace as find

    _check_outputs(out, [*images, Path(catalog)] if catalog else images)
    if bool(catalog) == (run is not None):
        raise InputError("give the training images once: either --catalog or --run")
    if run is not None:
        _check_outputs(out, _sources(run))
    named = dict(zip(_names(images), images, strict=True))
    pictures = {name: read_image(path) for name, path in named.items()}
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    opened, own_encoder = _open(catalog, format, run, fresh)
    seconds["catalogue"] = time.perf_counter() - start
    start = time.perf_counter()
    used = _encoder(encoder, pooling) or own_encoder
    loading = time.perf_counter() - start
    found = find(pictures, opened, prompt, used, top, candidates, index, ranking, fresh)
    found = replace(
        found,
        seconds={**seconds, **found.seconds},
        about={**found.about, "encoder_load_seconds": round(loading, 4)},
        notes=(*found.notes, *(run_notes(run, named) if run else ())),
    )
    for path in out:
        _write(path, found, pictures, opened)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(found, out)


def _check_outputs(out: Sequence[Path], sources: Sequence[Path]) -> None:
    from untrain.core.errors import InputError
    from untrain.core.files import check_file_target

    for path in out:
        if path.suffix.lower() not in KINDS:
            raise InputError(f"cannot write {path}: expected a name ending in {', '.join(KINDS)}")
        check_file_target(path, sources)


def _sources(run: Path) -> list[Path]:
    """Return what is read of a run: its folder, and its data where they are files."""
    from untrain.runs.find import find_run
    from untrain.runs.inputs import run_config

    folder = find_run(run)
    data = run_config(folder).data.path
    return [folder, data] if data else [folder]


def _names(paths: Sequence[Path]) -> list[str]:
    """Name pictures by their files, without the ending or folder where that is enough."""
    from untrain.core.errors import InputError

    for names in ([p.stem for p in paths], [p.name for p in paths], [str(p) for p in paths]):
        if len(set(names)) == len(names):
            return names
    raise InputError("the same picture was given twice; give each only once")


def _open(
    catalog: str, format: str, run: Path | None, fresh: bool
) -> tuple[Catalog, Encoder | None]:
    """Return the training images and, of a run, its encoder."""
    from untrain.encoders import load_encoder

    if run is not None:
        from untrain.runs.find import find_run
        from untrain.runs.inputs import open_catalog, open_inputs, run_config

        config = run_config(find_run(run))  # not the whole `Run`, which imports torch
        if fresh:
            open_catalog(config, fresh=True)  # which is cached
        return open_inputs(config).train, load_encoder(
            config.encoder.name, **config.encoder.options
        )
    named = catalog == "rendered" and not Path(catalog).exists()
    return open_catalogue(None if named else Path(catalog), format, fresh=fresh), None


def _encoder(name: str, pooling: str) -> Encoder | None:
    """Return the encoder that was asked for, if any was."""
    from untrain.core.errors import InputError
    from untrain.encoders import load_encoder

    if not name:
        if pooling:
            raise InputError("--pooling works only with --encoder; give a model's folder or hub id")
        return None
    return load_encoder(name, **({"pooling": pooling} if pooling else {}))


def _write(path: Path, found: Trace, pictures: dict[str, np.ndarray], catalog: Catalog) -> None:
    from untrain.core.files import write_csv, write_json, write_parquet, write_text

    kind = path.suffix.lower()
    if kind == ".html":
        from untrain.report.page.trace import trace_page

        write_text(path, trace_page(found, pictures, catalog))
    elif kind == ".json":
        write_json(path, found.to_dict())
    elif kind == ".parquet":
        write_parquet(path, found.table)
    else:
        write_csv(path, found.table)


def _print(found: Trace, out: Sequence[Path]) -> None:
    from untrain.report.page.trace import copy_verdict

    console = Console(highlight=False)
    for copy in found.copies.itertuples():
        console.print(_table(found, str(copy.query)))
        style = "bold" if copy.near_copy else ""
        console.print(Text(copy_verdict(copy), style), soft_wrap=True)
        console.print()
    for note in found.notes:
        console.print(f"[yellow]note:[/] {escape(str(note))}", soft_wrap=True)
    about = found.about
    console.print(
        f"{sum(found.seconds.values()):.2f} s for {about['images']:,} images of "
        f"{escape(about['catalog'])}; {about['candidates']} compared by every metric, ranking "
        f"{escape(about['ranking'])}",
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


def _copy(hit: dict) -> str:
    if hit["same_as"]:
        return f"= {escape(hit['same_as'])}"
    return "[bold]near copy[/]" if hit["near_copy"] else ""
