"""``untrain serve``: a page on this machine to drop a picture on."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from untrain.cli import completion
from untrain.cli.catalogue import open_encoder, open_of_run, parse_options
from untrain.cli.data_options import DataOptions, takes_data
from untrain.core.printing import say

if TYPE_CHECKING:
    from untrain.catalogs import Catalog
    from untrain.encoders import Encoder


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("serve", rich_help_panel="Start")(serve)


@takes_data("--data-option")
def serve(
    run: Path | None = typer.Argument(
        None,
        help="A run: its training images, and its model for influence.",
        autocompletion=completion.runs,
    ),
    catalog: str = typer.Option(
        "", "--catalog", "-c", help="Training images: a folder, a file, or 'rendered'."
    ),
    *,
    data: DataOptions,
    encoder: str = typer.Option(
        "",
        help="layout (default), a model's folder or hub id, or your own module:function.",
        autocompletion=completion.encoders,
    ),
    pooling: str = typer.Option("", help="Pooling of the encoder's features, as in trace."),
    index: str = typer.Option("exact", help="Vector index: exact, hnsw or ivfpq (approximate)."),
    runs: Path = typer.Option(Path("runs"), help="Folder whose runs are shown."),
    calibration: Path | None = typer.Option(
        None, help="What `untrain calibrate` wrote: influence is then told as effects."
    ),
    requests: Path | None = typer.Option(
        None, help="Folder that keeps takedown requests; default: requests beside --runs."
    ),
    host: str = typer.Option(
        "127.0.0.1", help="Address to listen at; any but this machine's own needs a token."
    ),
    port: int | None = typer.Option(
        None,
        min=0,
        max=65535,
        help="Port; default: 8808, or the next that is free. 0 takes any that is free.",
    ),
    token: str = typer.Option(
        "",
        envvar="UNTRAIN_TOKEN",
        help="Word to be known (16 characters or more); made up if left out and --host is not "
        "this machine's own.",
    ),
    public: str = typer.Option(
        "",
        help="Address at which a web server with TLS shows the page, such as "
        "https://untrain.example.org; needs a token.",
    ),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page."),
) -> None:
    """Open a page to ask which training images a picture is made of, and to look at runs.

    Pictures that are dropped on it stay in memory; those of a takedown request are kept.
    Nobody but this machine can reach it, unless --host says otherwise. Ctrl-C ends it.

    Example: untrain serve --catalog photos/
    """
    from untrain.core.errors import InputError
    from untrain.serve.listening import PORT, listen

    if bool(catalog) == (run is not None):
        raise InputError("give the training images once: a run, or --catalog")
    listening = listen(host, port)  # before the rest, which takes seconds
    if port is None and listening.getsockname()[1] != PORT:
        taken = f"port {PORT} is taken by another program"
        say(f"{taken}; this page is at port {listening.getsockname()[1]}", err=True)
    try:
        from untrain.serve.server import serve as start
    except ImportError as error:
        raise InputError(f"the page needs {error.name}: pip install 'untrain[serve]'") from None
    from untrain.attribution.calibration import Calibration
    from untrain.runs.find import find_run
    from untrain.serve.requested import Place
    from untrain.serve.shelf import Shelf

    folder = find_run(run, runs) if run is not None else None
    if calibration is not None and folder is None:
        raise InputError("--calibration needs a run, whose model is asked about influence")
    told = Calibration.load(calibration) if calibration is not None else None
    settings = parse_options(data.options)
    place = Place(catalog=catalog, format=data.format, options=settings) if catalog else None
    if catalog not in ("", "rendered") and not Path(catalog).exists():
        data.named(catalog)  # which says what is wrong

    def opening() -> tuple[Catalog, Encoder | None]:
        given = open_encoder(encoder, pooling)
        if folder is not None:
            opened, own = open_of_run(folder)
            return opened, given or own
        return data.named(catalog), given

    def opened(address: str, *others: str) -> None:
        say(f"open {address} (Ctrl-C ends it)")
        for other in others:
            say(f"  or {other}")
        if browser:  # without the token: others see what programs are started with
            webbrowser.open(address.partition("#")[0])

    shelf = Shelf(opening, folder, runs, index, place, requests, told)
    start(shelf, host, listening, token or None, opened, public or None)
