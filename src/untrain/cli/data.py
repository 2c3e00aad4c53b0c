"""``untrain data``: inspect and convert a catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from untrain.cli import completion
from untrain.cli.catalogue import open_catalogue
from untrain.cli.group import Group
from untrain.cli.options import JSON

SHOWN = 12  # groups on the terminal

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Inspect and convert an image–caption data set.\n\nExample: untrain data inspect photos/",
)


PATH = typer.Argument(
    None, help="Folder, file or pattern such as 'shards-{000..127}.tar'; default: 'rendered'."
)
FORMAT = typer.Option(
    "",
    help="folder, fashion, csv, coco, parquet, webdataset, imagefolder, datasets or rendered; "
    "guessed from the path if left out.",
    autocompletion=completion.formats,
)
OPTIONS = typer.Option(
    [],
    "--option",
    "-o",
    metavar="KEY=VALUE",
    help="A setting as under data in the experiment file: id, image, caption, captions, "
    "where.COLUMN, split, root, …; repeatable.",
)
STRICT = typer.Option(
    False, "--strict", help="Fail on the first unusable image instead of skipping it."
)
FRESH = typer.Option(False, "--fresh", help="Read every file again and ignore the cache.")


@app.command()
def inspect(
    path: Path | None = PATH,
    format: str = FORMAT,
    sheet: Path | None = typer.Option(None, help="Write a contact sheet to this file (PNG)."),
    as_json: bool = JSON,
    options: list[str] = OPTIONS,
    strict: bool = STRICT,
    fresh: bool = FRESH,
) -> None:
    """Summarise images, sizes, captions, unusable files and exact duplicates.

    Example: untrain data inspect photos/ --sheet sheet.png
    """
    from untrain.catalogs import inspect as summarise
    from untrain.catalogs import inspect_sheet
    from untrain.core.files import check_file_target

    if sheet is not None:
        check_file_target(sheet, [path] if path else [])
    catalog = open_catalogue(path, format, strict, fresh, options)
    summary = summarise(catalog)
    if as_json:
        typer.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        _print(summary)
    if sheet is not None:
        inspect_sheet(catalog, sheet)
        typer.echo(f"contact sheet: {sheet}", err=as_json)


@app.command()
def show(
    path: Path | None = PATH,
    format: str = FORMAT,
    options: list[str] = OPTIONS,
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

    catalog = open_catalogue(path, format, strict, fresh, options)
    pairs = [
        {"id": image_id, "caption": caption, **row}
        for image_id, caption, row in zip(
            catalog.ids[:rows],
            catalog.captions[:rows],
            catalog.attributes.head(rows).astype(str).to_dict("records"),
            strict=True,
        )
    ]
    if as_json:
        typer.echo(json.dumps(pairs, indent=2, ensure_ascii=False))
        return
    _print({f"{number + 1}": pair for number, pair in enumerate(pairs)})
    console = Console(highlight=False)
    known = f"{catalog.name}: {len(catalog):,} pairs, fingerprint {catalog.fingerprint}"
    console.print(escape(known), soft_wrap=True)
    if catalog.skipped:
        console.print(escape(f"skipped: {reasons(catalog.skipped)}"), soft_wrap=True)
    for note in notes_of(catalog):
        console.print(f"[yellow]note:[/] {escape(note.text)}", soft_wrap=True)


@app.command()
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
    format: str = FORMAT,
    options: list[str] = OPTIONS,
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
    from untrain.core.files import check_file_target, write_text

    if out is not None:
        check_file_target(out, [*lists, *([path] if path else [])])
    catalog = open_catalogue(path, format, strict, fresh, options)
    told = [matched(catalog, read_opt_out(each))[0] for each in lists]
    named = {image_id for each in told for image_id in (*each.images, *each.copies)}
    ids = [image_id for image_id in catalog.ids if image_id in named]
    if as_json:
        typer.echo(json.dumps({"lists": [t.to_dict() for t in told], "ids": ids}, indent=2))
    else:
        console = Console(highlight=False)
        for each in told:
            console.print(escape(in_words(each)), soft_wrap=True)
            if each.unmatched:
                console.print(
                    f"[yellow]note:[/] {escape(unmatched_in_words(each))}", soft_wrap=True
                )
        console.print(f"{len(ids):,} of {len(catalog):,} images of {escape(catalog.name)}")
    if out is not None:
        write_text(out, "".join(f"{image_id}\n" for image_id in ids))
        typer.echo(f"ids: {out}", err=as_json)


@app.command()
def summary(
    source: Path = typer.Argument(
        help="An experiment file, a run folder or its name, or a data set as for inspect."
    ),
    out: list[Path] = typer.Option(
        [], "--out", help="File to write (.md or .json); repeatable. Default: Markdown, here."
    ),
    format: str = FORMAT,
    options: list[str] = OPTIONS,
    as_json: bool = JSON,
) -> None:
    """Export the facts that a public summary of training content asks for.

    Sizes, sources, domains, licences, dates, exclusions and duplicates, in the order of the
    European Commission's template; what the data do not tell is left to be filled in, and named.

    Example: untrain data summary experiment.yaml --out summary.md --out summary.json
    """
    from untrain.core.errors import InputError
    from untrain.core.files import check_file_target, write_json, write_text
    from untrain.report.training_summary import summary_markdown, template_of

    for path in out:
        if path.suffix.lower() not in (".md", ".json"):
            raise InputError(f"cannot write {path}: expected a name ending in .md or .json")
        check_file_target(path, [source] if source.exists() else [])
    facts = _training_facts(source, format, options)
    for path in out:
        if path.suffix.lower() == ".md":
            write_text(path, summary_markdown(facts))
        else:
            write_json(path, template_of(facts))
        typer.echo(f"summary: {path}", err=as_json)
    if as_json:
        typer.echo(json.dumps(template_of(facts), indent=2, ensure_ascii=False))
    elif not out:
        typer.echo(summary_markdown(facts))


def _training_facts(source: Path, format: str, options: list[str]) -> dict[str, Any]:
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
    catalog = open_catalogue(source, format, options=options)
    place = {"kind": None, "format": format or "files", "place": str(source)}
    return {
        "untrain": untrain.__version__,
        "sources": [place],
        "data": catalog_facts(catalog),
    }


@app.command()
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
    format: str = FORMAT,
    options: list[str] = OPTIONS,
    strict: bool = STRICT,
    fresh: bool = FRESH,
) -> None:
    """Write a data set in another format, with the same ids, captions and image bytes.

    Example: untrain data export photos/ shards/ --to webdataset
    """
    from untrain.catalogs.export import EXPORTS
    from untrain.catalogs.export import export as write
    from untrain.core.files import check_folder_target

    EXPORTS.check(to)
    check_folder_target(out)
    catalog = open_catalogue(path, format, strict, fresh, options)
    written = write(catalog, [], out, to)
    typer.echo(f"{written:,} pairs, fingerprint {catalog.content}: {out}")


@app.command()
def duplicates(
    path: Path | None = PATH,
    format: str = FORMAT,
    options: list[str] = OPTIONS,
    exact: bool = typer.Option(False, "--exact", help="Find only byte-identical images."),
    edited: bool = typer.Option(
        False,
        "--edited",
        help="Also look for copies that were cropped, mirrored, recoloured, …: minutes for a "
        "thousand images, hours for ten thousand.",
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
    from untrain.core.files import check_file_target, write_csv
    from untrain.search.duplicates import describe, duplicate_groups, duplicates_sheet

    pairs_csv = csv.with_stem(f"{csv.stem}-edited") if csv and edited else None
    for target in (csv, pairs_csv, sheet):
        if target is not None:
            check_file_target(target, [path] if path else [])
    catalog = open_catalogue(path, format, fresh=fresh, options=options)
    groups = duplicate_groups(catalog, near=not exact)
    found = describe(catalog, groups)
    pairs = None
    if edited:
        from untrain.search.copy_detector.pairs import edited_pairs

        pairs = edited_pairs(catalog)
        found["edited"] = pairs.to_dict("records")
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print_groups(found)
        if pairs is not None:
            _print_pairs(found["edited"])
    if pairs_csv is not None and pairs is not None:
        write_csv(pairs_csv, pairs)
        typer.echo(f"edited copies: {pairs_csv}", err=as_json)
    if csv is not None:
        write_csv(csv, groups)
        typer.echo(f"table: {csv}", err=as_json)
    if sheet is not None:
        duplicates_sheet(catalog, groups, sheet)
        typer.echo(f"sheet: {sheet}", err=as_json)


def _print(summary: dict, indent: int = 0) -> None:
    console = Console(highlight=False)
    for key, value in summary.items():
        label = " " * indent + escape(str(key)).replace("_", " ")
        if value in ({}, []):
            console.print(f"{label}: none")
        elif isinstance(value, dict):
            console.print(f"[bold]{label}[/]")
            _print(value, indent + 2)
        elif isinstance(value, list):
            shown = ", ".join(map(str, value[:8]))
            more = f", … ({len(value)})" if len(value) > 8 else ""
            console.print(f"{label}: {escape(shown)}{more}", soft_wrap=True)
        else:
            console.print(f"{label}: {escape(str(value))}", soft_wrap=True)


def _print_groups(found: dict[str, Any]) -> None:
    """Print the counts, and some groups: those with near copies before the others."""
    from rich.table import Table

    console = Console(highlight=False)
    copies, near = found["exact"], found["near"]["images"]
    console.print(f"byte-identical: {copies['groups']:,} groups, {copies['images']:,} images")
    console.print(f"near copies: {near:,} images")
    if found["all"]["groups"]:
        console.print(f"largest group: {found['all']['largest']:,} images")
    console.print(f"groups with different captions: {found['different_captions']:,}")
    groups = sorted(found["groups"], key=lambda g: all(i["kind"] == "exact" for i in g["images"]))
    table = Table(box=None)
    for column in ("group", "image", "copy", "hash bits", "cosine"):
        table.add_column(column, no_wrap=True)
    table.add_column("caption", no_wrap=True, max_width=max(20, console.width - 48))
    for group in groups[:SHOWN]:
        for image in group["images"]:
            is_near = image["kind"] == "near"
            table.add_row(
                str(group["group"]),
                escape(image["image_id"]),
                image["kind"],
                str(image["hash_distance"]) if is_near else "",
                f"{image['cosine']:.3f}" if is_near else "",
                escape(image["caption"]),
            )
    if groups:
        console.print(table)
    if len(groups) > SHOWN:
        console.print(f"… {len(groups) - SHOWN:,} more groups: --csv FILE writes them all")


def _print_pairs(pairs: list[dict[str, Any]]) -> None:
    """Print edited copies, those with the colours of their original first."""
    from rich.table import Table

    from untrain.report.edited import edits, finds

    console = Console(highlight=False)
    same = sum(pair["verdict"] == "copy" for pair in pairs)
    console.print(
        f"edited copies: {same:,} pairs; copies or variants (another colour or print of the same "
        f"product): {len(pairs) - same:,} pairs",
        soft_wrap=True,
    )
    table = Table(box=None)
    for column in ("image", "of", "score"):
        table.add_column(column, no_wrap=True)
    table.add_column("what was done")
    for pair in sorted(pairs, key=lambda p: p["verdict"] != "copy")[:SHOWN]:
        names = escape(pair["image_id"]), escape(pair["of"])
        table.add_row(*names, f"{pair['score']:.3f}", edits(pair["kinds"]))
    if pairs:
        console.print(table)
    if len(pairs) > SHOWN:
        console.print(f"… {len(pairs) - SHOWN:,} more pairs: --csv FILE writes them all")
    console.print(escape(finds("thorough")), soft_wrap=True)
