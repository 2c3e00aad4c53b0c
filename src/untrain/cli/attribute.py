"""``untrain attribute``: which training images pictures stand on, as the model has it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from untrain.cli import completion
from untrain.cli.files import OUT_HELP, check_outputs, sources_of
from untrain.cli.options import JSON, RUN
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape
from untrain.core.text import one_line
from untrain.core.vocabulary import ATTRIBUTOR

if TYPE_CHECKING:
    from untrain.attribution.attribute import Attributed

SHOWN = 20  # images of each query on the terminal, at most: files have all


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("attribute", rich_help_panel="Start")(attribute)


def attribute(
    run: Path = RUN,
    pictures: list[Path] = typer.Argument(
        None, help="Pictures to ask about, of any size; without any, those of the run."
    ),
    prompt: list[str] = typer.Option(
        [],
        "--prompt",
        "-p",
        help="With pictures: what they were drawn for. Without: the id or text of a prompt of "
        "the run to ask about. Repeatable.",
    ),
    method: list[str] = typer.Option(
        [ATTRIBUTOR],
        "--method",
        "-m",
        help="How influence is computed: leverage, dtrak, trak, ekfac, …, or a ranking such as "
        "fusion; repeatable: further ones are shown beside the first.",
        autocompletion=completion.attributors,
    ),
    top: int = typer.Option(10, min=0, help="Number of training images to show; 0 for all."),
    calibration: Path | None = typer.Option(
        None, help="Say what removals would cost, by this file of untrain calibrate."
    ),
    model: list[str] = typer.Option(
        ["A"],
        help="Model to ask: A, another of the run by its id, or the folder of a saved one; "
        "further ones serve ensemble:METHOD.",
    ),
    candidates: int = typer.Option(
        5000, min=1, help="Number of images that rankings by likeness compare; others have none."
    ),
    engine: str | None = typer.Option(
        None,
        "--engine",
        help="Where gradients of the training images are computed: local or ray; default: as the "
        "run has it.",
        autocompletion=completion.engines,
    ),
    address: str | None = typer.Option(
        None, "--address", help="Address of the Ray cluster: auto, host:port or ray://host:port."
    ),
    out: list[Path] = typer.Option([], "--out", "-o", help=OUT_HELP),
    as_json: bool = JSON,
) -> None:
    """Say which training images pictures stand on, by the model that a run has fitted.

    A score says how much worse the model would be at the picture if it had been trained without the
    image, and no model is trained for it. Without --calibration, scores only order images.

    Example: untrain attribute runs/demo --prompt p00 --method dtrak --method fusion
    """
    from untrain.api import attribute as attribute_pictures

    start = time.perf_counter()
    read = [*(pictures or []), *([calibration] if calibration else [])]
    check_outputs(out, [*read, *sources_of(run)])
    found = attribute_pictures(
        run,
        queries=pictures or None,
        method=method,
        prompts=prompt,
        top=top,
        calibration=calibration,
        candidates=candidates,
        named=model,
        engine=engine,
        address=address,
    )
    for path in out:
        found.save(path)
    if as_json:
        print_json(found.to_dict())
        return
    _print(found.found, out, time.perf_counter() - start)


def _print(found: Attributed, out: Sequence[Path], seconds: float) -> None:
    from untrain.core.schema import records
    from untrain.report.attribution import method_words, removal_words

    console = Printer()
    for asked in records(found.prompts):
        for method in found.methods:
            console.print(_table(found, asked, method))
            if said := removal_words(found, method, asked["prompt_id"]):
                console.print(escape(said), soft_wrap=True)
            agreed = found.agreement.get((method, asked["prompt_id"]))
            if agreed is not None:
                line = f"{method} beside {found.methods[0]}: {agreed}"
                console.print(escape(line), soft_wrap=True)
            console.print()
    for note in found.notes:
        console.print(f"[yellow]note:[/] {escape(str(note))}", soft_wrap=True)
    images, queries = len(found.image_ids), len(found.prompts)
    console.print(
        f"{seconds:.1f} s for {queries} {'query' if queries == 1 else 'queries'} and {images:,} "
        f"images: {escape(method_words(found))}",
        soft_wrap=True,
    )
    for path in out:
        console.print(f"written: [bold]{escape(str(path))}[/]", soft_wrap=True)


def _table(found: Attributed, asked: dict[str, Any], method: str) -> Table:
    from untrain.report.attribution import number

    own = (found.table["method"] == method) & (found.table["prompt_id"] == asked["prompt_id"])
    calibrated = found.calibrated == method
    title = f"{asked['prompt_id']}, by {method}" + (
        f": {asked['prompt']}" if asked["prompt"] else ""
    )
    table = Table(title=escape(title), title_justify="left")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("image", no_wrap=True, max_width=24)
    table.add_column("score", justify="right", no_wrap=True)
    if calibrated:
        table.add_column(found.unit, justify="right", no_wrap=True)
    others = [other for other in found.methods if other != method]
    places = {other: found.places(other, asked["prompt_id"]) for other in others}
    for other in others:
        table.add_column(f"# {other}", justify="right", no_wrap=True)
    table.add_column("caption")  # the one that gives way on a narrow terminal
    index = {image_id: at for at, image_id in enumerate(found.image_ids)} if others else {}
    for hit in found.table[own].head(SHOWN).to_dict("records"):
        row = [str(hit["rank"]), escape(hit["image_id"]), number(hit["score"])]
        row += [number(hit["effect"])] if calibrated else []
        row += [str(places[other][index[hit["image_id"]]] or "–") for other in others]
        caption = f"= {hit['same_as']}" if hit["same_as"] else hit["caption"]
        table.add_row(*row, Text(one_line(caption), no_wrap=True, overflow="ellipsis"))
    return table
