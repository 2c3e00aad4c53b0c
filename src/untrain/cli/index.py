"""``untrain index`` and ``untrain search``: a catalogue's features, here or on a cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from untrain.cli import completion
from untrain.cli.data_options import FRESH, PATH, STRICT, DataOptions, takes_data
from untrain.cli.options import JSON
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape
from untrain.core.text import one_line

PANEL = "Data, files and this machine"
ENCODER = typer.Option(
    "layout",
    help="layout, a model's folder or hub id, or your own module:function.",
    autocompletion=completion.encoders,
)
POOLING = typer.Option(
    "", help="Pooling of the encoder's features: mean, flatten, cls, pooler or projection."
)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("index", rich_help_panel=PANEL)(index)
    app.command("search", rich_help_panel=PANEL)(search)


@takes_data()
def index(
    path: Path | None = PATH,
    *,
    data: DataOptions,
    strict: bool = STRICT,
    fresh: bool = FRESH,
    encoder: str = ENCODER,
    pooling: str = POOLING,
    out: Path | None = typer.Option(
        None, "--out", help="Write an index in shards to this folder, for untrain search."
    ),
    rows: int = typer.Option(
        16_384, "--shard-rows", help="With --out: images a shard, a multiple of 16."
    ),
    engine: str = typer.Option(
        "local",
        "--engine",
        help="Where images are embedded: local, or ray (pip install 'untrain\\[ray]').",
        autocompletion=completion.engines,
    ),
    address: str | None = typer.Option(
        None, "--address", help="Address of the Ray cluster: auto, host:port or ray://host:port."
    ),
    threads: int | None = typer.Option(
        None, "--threads", min=1, help="Threads; of each task on a cluster (default there: 1)."
    ),
    workers: int | None = typer.Option(
        None, "--workers", min=1, help="Number of tasks at the same time on a cluster."
    ),
    as_json: bool = JSON,
) -> None:
    """Embed a catalogue, so that searches of it start at once.

    Features are kept in the cache, where untrain trace and runs find them; with --out they are
    written in shards instead. Either way the same command goes on where it was stopped, and an
    engine changes where the work is done, not what comes out.

    Example: untrain index photos/ --encoder google/mobilenet_v2_1.0_224 --engine ray
    """
    from untrain.core.threads import default_threads, threads_set
    from untrain.encoders import load_encoder
    from untrain.encoders.engines import embedding_on

    if out is not None:
        from untrain.search.sharded import check_shards_target

        check_shards_target(out)
    start = time.perf_counter()
    encoder_options: dict[str, Any] = {"pooling": pooling} if pooling else {}
    used = threads or (1 if engine == "ray" else default_threads())
    embed = embedding_on(engine, encoder, encoder_options, address, used, workers)
    check = getattr(embed, "check", None)
    if check is not None:
        check()
    loaded = load_encoder(encoder, **encoder_options)
    catalog = data.open(path, strict, fresh, pictures_do=True)
    with threads_set(used):
        if out is not None:
            from untrain.search.sharded import write_shards

            made = write_shards(catalog, loaded, out, (encoder, encoder_options), embed, rows)
            notes = []
            about: dict[str, Any] = {"folder": str(out), "shards_written": made}
            told = f"{made:,} {'shard' if made == 1 else 'shards'} written: {out}"
        else:
            from untrain.search.catalog_index import open_calibration, open_index
            from untrain.search.copy_detector import CopyDetector
            from untrain.search.retrieve.candidates import open_text

            opened = open_index(catalog, loaded, fresh=fresh, embed=embed)
            notes = [*opened.notes, *open_calibration(opened, fresh)[1]]
            notes += open_text(catalog, fresh=fresh)[1]
            CopyDetector(catalog, "fast")  # its features, too
            about, told = {}, "features, index and calibration are in the cache"
    notes += getattr(embed, "notes", [])
    seconds = time.perf_counter() - start
    about |= {"catalog": catalog.name, "images": len(catalog), "fingerprint": catalog.fingerprint}
    if as_json:
        print_json({**about, "seconds": seconds, "notes": [note.to_dict() for note in notes]})
        return
    console = Printer()
    for note in notes:
        console.print(f"[yellow]note:[/] {escape(str(note))}", soft_wrap=True)
    line = f"{len(catalog):,} images of {catalog.name}, {seconds:.1f} s; {told}"
    console.print(escape(line), soft_wrap=True)


def search(
    pictures: list[Path] = typer.Argument(help="Pictures to search with."),
    folders: list[Path] = typer.Option(
        ..., "--index", "-i", help="Folder that untrain index --out wrote; repeatable."
    ),
    top: int = typer.Option(10, min=1, help="Number of images to show."),
    encoder: str = typer.Option(
        "",
        help="The encoder of the index, if it lies elsewhere here.",
        autocompletion=completion.encoders,
    ),
    as_json: bool = JSON,
) -> None:
    """Find the images nearest to pictures in indexes in shards, exactly, without the catalogue.

    Example: untrain search picture.png --index index-a/ --index index-b/
    """
    from untrain.core.errors import InputError
    from untrain.core.images import read_image
    from untrain.encoders import load_encoder, pooled
    from untrain.search.sharded import open_shards

    images = [read_image(path) for path in pictures]
    opened = open_shards(folders)
    about = opened.about
    used = pooled(load_encoder(encoder or about["name"], **about["options"]))
    if used.fingerprint != about["fingerprint"]:
        raise InputError(
            f"the index was made with another encoder ({about['description']}): name its folder "
            "by --encoder"
        )
    start = time.perf_counter()
    positions, cosines = opened.query(used.encode(images), top)
    seconds = time.perf_counter() - start
    hits = {
        str(path): [
            {"rank": rank, **row, "cosine": float(cosine)}
            for rank, (row, cosine) in enumerate(zip(opened.rows(at), values, strict=True), 1)
        ]
        for path, at, values in zip(pictures, positions, cosines, strict=True)
    }
    if as_json:
        print_json({"images": len(opened), "seconds": seconds, "hits": hits})
        return
    console = Printer()
    for name, found in hits.items():
        table = Table(title=escape(name), title_justify="left")
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("image", no_wrap=True, max_width=24)
        table.add_column("cosine", justify="right", no_wrap=True)
        table.add_column("caption")
        for hit in found:
            caption = Text(one_line(str(hit["caption"])), no_wrap=True, overflow="ellipsis")
            row = [str(hit["rank"]), escape(str(hit["image_id"])), f"{hit['cosine']:.4f}"]
            table.add_row(*row, caption)
        console.print(table)
    console.print(f"{seconds:.2f} s for {len(opened):,} images in {len(opened.shards):,} shards")
