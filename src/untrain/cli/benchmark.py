"""``untrain benchmark``: a bank as plain files, and any method's scores held to it."""

from __future__ import annotations

from pathlib import Path

import typer

from untrain.cli.group import Group
from untrain.cli.options import JSON, RUN
from untrain.cli.output import print_json
from untrain.core.printing import Printer, escape

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Pass a bank on as plain files, and test any attribution method on it.\n\n"
    "Example: untrain benchmark score benchmark/ scores.parquet",
)

FOLDER = typer.Argument(
    help="A folder that `untrain benchmark export` wrote, or the ground truth of a benchmark of "
    "dattri (target_values_lds.pt, indices_lds.pt).",
    show_default=False,
)
K = typer.Option(10, "--k", help="Number of top images whose removal is measured.")


@app.command()
def export(
    run: Path = RUN,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to write; must be new or empty."),
    images: bool = typer.Option(
        False,
        "--images",
        help="Write training images that untrain did not render, too: only if they are yours to "
        "pass on. Rendered ones always are.",
    ),
    baseline: list[str] = typer.Option(
        [],
        "--baseline",
        help="A method whose scores go with it; repeatable. Default: family, text, fusion, nda "
        "and dtrak.",
        show_default=False,
    ),
) -> None:
    """Write a run's bank of random halves as plain files with a data card.

    Catalogue, tokens, model A with its source, the masks and outcomes of all models, and the scores
    of some methods to compare with. The run is not needed to use them.

    Example: untrain benchmark export runs/demo -o benchmark/
    """
    from untrain.banks.bank import read_bank
    from untrain.banks.benchmark.write import BASELINES, write_benchmark
    from untrain.core.targets import check_folder_target
    from untrain.report.tables.leaderboard import leaderboard_table
    from untrain.runs.find import find_run
    from untrain.runs.run import open_run

    check_folder_target(out)
    opened = open_run(find_run(run))
    bank = read_bank(opened.folder)
    board = write_benchmark(opened, bank, out, images, baseline or BASELINES)
    console = Printer()
    console.print(leaderboard_table(board, console.width, more=f"{out / 'README.md'}"))
    console.print(f"Benchmark: [bold]{escape(str(out))}[/]", soft_wrap=True)


@app.command()
def score(
    folder: Path = FOLDER,
    scores: Path = typer.Argument(
        help="Parquet or CSV with the columns prompt, image and score; higher: removing the image "
        "makes the prompt's pictures worse. Or scores as TRAK (.mmap, save_dir), dattri (.pt), "
        "kronfluence (.safetensors), quanda (a folder) or NumPy (.npy) write them.",
        show_default=False,
    ),
    k: int = K,
    name: str = typer.Option("scores", "--name", help="What to call the method."),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Write the table to this file, too (CSV)."
    ),
    as_json: bool = JSON,
) -> None:
    """Hold scores to what models do without the images, beside the benchmark's own methods.

    Prints LDS with its interval, the effect of the top images, the share of them that is of the
    prompt's family, and how far each other method is ahead of yours (behind, below 0).

    Example: untrain benchmark score benchmark/ scores.parquet --out result.csv
    """
    from untrain.banks.benchmark.read import Benchmark
    from untrain.core.files import write_csv
    from untrain.core.targets import check_file_target
    from untrain.exchange.truth import is_truth, score_truth
    from untrain.report.tables.leaderboard import leaderboard_table

    if out is not None:
        check_file_target(out, [scores, folder])
    if is_truth(folder):
        board = score_truth(folder, scores, k, name)
    else:
        board = Benchmark(folder).score(scores, k, name)
    if out is not None:
        write_csv(out, board.table)
    if as_json:
        print_json(board.table.to_dict("records"))
        return
    console = Printer()
    console.print(leaderboard_table(board, console.width, more="--json or --out FILE"))
