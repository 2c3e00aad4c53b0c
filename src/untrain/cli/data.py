"""``untrain data``: inspect and convert a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from untrain.cli import completion
from untrain.cli.data_options import FRESH, PATH, STRICT, DataOptions, takes_data
from untrain.cli.data_print import print_groups, print_nested, print_pairs
from untrain.cli.group import Group
from untrain.cli.options import JSON
from untrain.core.printing import Printer, escape, say, say_json

OWN = ("choice", "path", "strict", "options")  # parameters of formats that are no settings

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Inspect and convert an image–caption data set.\n\nExample: untrain data inspect photos/",
)


@app.command()
@takes_data()
def inspect(
    path: Path | None = PATH,
    *,
    data: DataOptions,
    sheet: Path | None = typer.Option(None, help="Write a contact sheet to this file (PNG)."),
    as_json: bool = JSON,
    strict: bool = STRICT,
    fresh: bool = FRESH,
) -> None:
    """Summarise images, sizes, captions, unusable files and exact duplicates.

    Example: untrain data inspect photos/ --sheet sheet.png
    """
    from untrain.catalogs import inspect as summarise
    from untrain.catalogs import inspect_sheet
    from untrain.catalogs.sheet import check_sheet_target

    if sheet is not None:
        check_sheet_target(sheet, [path] if path else [])
    catalog = data.open(path, strict, fresh)
    summary = summarise(catalog)
    if as_json:
        say_json(summary)
    else:
        print_nested(summary)
    if sheet is not None:
        inspect_sheet(catalog, sheet)
        say(f"contact sheet: {sheet}", err=as_json)


@app.command()
def formats() -> None:
    """List the formats that are read, with the settings of each.

    Settings are given by --option KEY=VALUE, or under data in an experiment file.

    Example: untrain data formats
    """
    from inspect import signature

    from rich.table import Table

    from untrain.catalogs import CATALOGS
    from untrain.catalogs.opening import OF_ANY, OF_ROWS

    table = Table(box=None, pad_edge=False)
    for column in ("format", "what it reads", "settings"):
        table.add_column(column, no_wrap=column == "format")
    for name in CATALOGS:
        build = CATALOGS[name]
        known = [option for option in signature(build).parameters if option not in OWN]
        of_rows = OF_ROWS if "choice" in signature(build).parameters else OF_ANY
        words = (build.__doc__ or "").strip().splitlines()[0].rstrip(".").replace("``", "")
        table.add_row(name, escape(words), ", ".join(dict.fromkeys([*known, *of_rows])))
    Printer().print(table)


@app.command()
@takes_data()
def show(
    path: Path | None = PATH,
    *,
    data: DataOptions,
    rows: int = typer.Option(10, min=1, help="Number of pairs to show."),
    as_json: bool = JSON,
    strict: bool = STRICT,
    fresh: bool = FRESH,
) -> None:
    """Show the first pairs as a run reads them: ids, captions and attributes.

    Example: untrain data show table.csv --option caption="{brand} {colour}" -o where.year.min=2012
    """
    from untrain.catalogs.exclude import notes_of
    from untrain.catalogs.reading import reasons

    catalog = data.open(path, strict, fresh)
    known = catalog.attributes.head(rows).astype(str)  # perhaps without columns
    pairs = [
        {"id": image_id, "caption": caption, **{name: known[name].iat[row] for name in known}}
        for row, (image_id, caption) in enumerate(
            zip(catalog.ids[:rows], catalog.captions[:rows], strict=True)
        )
    ]
    if as_json:
        say_json(pairs)
        return
    print_nested({f"{number + 1}": pair for number, pair in enumerate(pairs)})
    console = Printer()
    told = f"{catalog.name}: {len(catalog):,} pairs, fingerprint {catalog.fingerprint}"
    console.print(escape(told), soft_wrap=True)
    if catalog.skipped:
        console.print(escape(f"skipped: {reasons(catalog.skipped)}"), soft_wrap=True)
    for note in notes_of(catalog):
        console.print(f"[yellow]note:[/] {escape(note.text)}", soft_wrap=True)


@app.command()
@takes_data()
def excluded(
    path: Path | None = PATH,
    lists: list[Path] = typer.Option(
        ...,
        "--list",
        "-l",
        help="Opt-out list: ids, hashes or URLs (txt, csv, parquet); repeatable.",
    ),
    out: Path | None = typer.Option(
        None, help="Write the ids to this file, one a line, as removal.ids takes them."
    ),
    *,
    data: DataOptions,
    as_json: bool = JSON,
    strict: bool = STRICT,
    fresh: bool = FRESH,
) -> None:
    """Say which images opt-out lists name, and which entries name none.

    In an experiment file, data.exclude keeps these images out of the training. The list of ids
    (--out) is what an experiment needs that measures the effect of it.

    Example: untrain data excluded photos/ --list opt-out.csv --out opted-out.txt
    """
    from untrain.catalogs.exclude import in_words, matched, unmatched_in_words
    from untrain.catalogs.opt_out import read_opt_out
    from untrain.core.files import write_text
    from untrain.core.targets import check_file_target
    from untrain.core.text import lines

    if out is not None:
        check_file_target(out, [*lists, *([path] if path else [])])
    catalog = data.open(path, strict, fresh)
    told = [matched(catalog, read_opt_out(each))[0] for each in lists]
    named = {image_id for each in told for image_id in (*each.images, *each.copies)}
    ids = [image_id for image_id in catalog.ids if image_id in named]
    if as_json:
        say_json({"lists": [t.to_dict() for t in told], "ids": ids})
    else:
        console = Printer()
        for each in told:
            console.print(escape(in_words(each)), soft_wrap=True)
            if each.unmatched:
                console.print(
                    f"[yellow]note:[/] {escape(unmatched_in_words(each))}", soft_wrap=True
                )
        console.print(f"{len(ids):,} of {len(catalog):,} images of {escape(catalog.name)}")
    if out is not None:
        write_text(out, lines(ids))
        say(f"ids: {out}", err=as_json)


@app.command()
@takes_data()
def summary(
    source: Path = typer.Argument(
        help="An experiment file, a run folder or its name, or a data set as for inspect."
    ),
    out: list[Path] = typer.Option(
        [], "--out", help="File to write (.md or .json); repeatable. Default: Markdown, here."
    ),
    *,
    data: DataOptions,
    as_json: bool = JSON,
) -> None:
    """Export the facts that a public summary of training content asks for.

    Sizes, sources, domains, licences, dates, exclusions and duplicates, in the order of the
    European Commission's template; what the data do not tell is left to be filled in, and named.

    Example: untrain data summary experiment.yaml --out summary.md --out summary.json
    """
    from untrain.core.errors import InputError
    from untrain.core.files import write_json, write_text
    from untrain.core.targets import check_file_target
    from untrain.report.training_summary import summary_markdown, template_of

    for path in out:
        if path.suffix.lower() not in (".md", ".json"):
            raise InputError(f"cannot write {path}: expected a name ending in .md or .json")
        check_file_target(path, [source] if source.exists() else [])
    facts = _training_facts(source, data)
    for path in out:
        if path.suffix.lower() == ".md":
            write_text(path, summary_markdown(facts))
        else:
            write_json(path, template_of(facts))
        say(f"summary: {path}", err=as_json)
    if as_json:
        say_json(template_of(facts))
    elif not out:
        say(summary_markdown(facts))


def _training_facts(source: Path, data: DataOptions) -> dict[str, Any]:
    """Return the facts of an experiment, a run or a data set."""
    import untrain
    from untrain.catalogs.facts import catalog_facts
    from untrain.runs.find import RECORD, RUNS, find_run
    from untrain.runs.inputs import run_config
    from untrain.runs.training_facts import training_facts
    from untrain.settings.load import load_config

    if source.suffix in (".yaml", ".yml"):
        return training_facts(load_config(source))
    if any((folder / RECORD).is_file() for folder in (source, RUNS / source)):
        return training_facts(run_config(find_run(source)))
    catalog = data.open(source)
    place = {"kind": None, "format": data.format or "files", "place": str(source)}
    return {
        "untrain": untrain.__version__,
        "sources": [place],
        "data": catalog_facts(catalog),
    }


@app.command()
@takes_data()
def export(
    path: Path = typer.Argument(
        help="Folder, file or pattern to read, as for `untrain data inspect`."
    ),
    out: Path = typer.Argument(help="Folder to write; must be new or empty."),
    to: str = typer.Option(
        "parquet",
        "--to",
        help="folder, csv, coco, imagefolder, parquet, webdataset or datasets.",
        autocompletion=completion.exports,
    ),
    *,
    data: DataOptions,
    strict: bool = STRICT,
    fresh: bool = FRESH,
) -> None:
    """Write a data set in another format, with the same ids, captions and image bytes.

    Example: untrain data export photos/ shards/ --to webdataset
    """
    from untrain.catalogs.export import EXPORTS
    from untrain.catalogs.export import export as write
    from untrain.core.targets import check_folder_target

    EXPORTS.check(to)
    check_folder_target(out)
    catalog = data.open(path, strict, fresh)
    written = write(catalog, [], out, to)
    say(f"{written:,} pairs, fingerprint {catalog.content}: {out}")


@app.command()
@takes_data()
def duplicates(
    path: Path | None = PATH,
    *,
    data: DataOptions,
    exact: bool = typer.Option(False, "--exact", help="Find only byte-identical images."),
    edited: bool = typer.Option(
        False,
        "--edited",
        help="Also look for copies that were cropped, mirrored, recoloured, …: minutes for some "
        "hundred images, hours for ten thousand; what was found is kept.",
    ),
    as_json: bool = JSON,
    csv: Path | None = typer.Option(
        None, help="Write the groups to this file (CSV), edited copies beside it."
    ),
    sheet: Path | None = typer.Option(
        None, help="Write the groups side by side to this file (PNG)."
    ),
    fresh: bool = FRESH,
) -> None:
    """Find exact and near duplicates of images.

    Example: untrain data duplicates photos/ --sheet copies.png
    """
    from untrain.catalogs.sheet import check_sheet_target
    from untrain.core.files import write_csv
    from untrain.core.targets import check_file_target
    from untrain.search.duplicates import describe, duplicate_groups, duplicates_sheet

    pairs_csv = csv.with_stem(f"{csv.stem}-edited") if csv and edited else None
    for target in (csv, pairs_csv):
        if target is not None:
            check_file_target(target, [path] if path else [])
    if sheet is not None:
        check_sheet_target(sheet, [path] if path else [])
    catalog = data.open(path, fresh=fresh, pictures_do=True)
    groups = duplicate_groups(catalog, near=not exact)
    found = describe(catalog, groups)
    pairs = None
    if edited:
        from untrain.search.copy_detector.pairs import edited_pairs

        pairs = edited_pairs(catalog)
        found["edited"] = pairs.to_dict("records")
    if as_json:
        say_json(found)
    else:
        print_groups(found)
        if pairs is not None:
            print_pairs(found["edited"])
    if pairs_csv is not None and pairs is not None:
        write_csv(pairs_csv, pairs)
        say(f"edited copies: {pairs_csv}", err=as_json)
    if csv is not None:
        write_csv(csv, groups)
        say(f"table: {csv}", err=as_json)
    if sheet is not None:
        duplicates_sheet(catalog, groups, sheet, edited=pairs)
        say(f"sheet: {sheet}", err=as_json)
    elif pairs is not None and len(pairs) and not as_json:
        say("to see them side by side: the same command with --sheet copies.png, at once")
