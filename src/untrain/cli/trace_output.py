"""What ``untrain trace`` prints and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from untrain.cli.files import is_folder
from untrain.core.printing import Printer, escape
from untrain.core.text import one_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from untrain.attribution.side_by_side import SideBySide
    from untrain.catalogs import Catalog
    from untrain.core.notes import Note
    from untrain.search.by_words import WordHits
    from untrain.search.trace import Trace

NAMED = 5  # of the pictures that were skipped


def json_of(found: Trace, beside: SideBySide | None) -> dict[str, Any]:
    """Return a trace, and influence beside it, as JSON holds it."""
    values = found.to_dict()
    if beside is not None:
        for query in values["queries"]:
            query["influence"] = beside.to_dict(query["query"])
    return values


def write_trace(
    path: Path,
    found: Trace,
    pictures: Mapping[str, np.ndarray],
    catalog: Catalog,
    beside: SideBySide | None,
) -> None:
    """Write a trace in the way that the path's ending says, or as a folder of pages."""
    from untrain.core.files import write_json, write_text

    kind = path.suffix.lower()
    if is_folder(path):
        from untrain.report.page.trace_folder import write_trace_folder

        write_trace_folder(path, found, pictures, catalog, beside)
    elif kind == ".html":
        from untrain.report.page.trace import trace_page

        write_text(path, trace_page(found, pictures, catalog, beside))
    elif kind == ".json":
        write_json(path, json_of(found, beside))
    else:
        _write_table(path, found.table)


def write_words(path: Path, found: WordHits, catalog: Catalog) -> None:
    """Write a search by words; a folder holds its page and its table."""
    from untrain.core.atomic import atomic_folder
    from untrain.core.files import write_csv, write_json, write_text
    from untrain.report.page.trace_folder import INDEX, words_page

    kind = path.suffix.lower()
    if is_folder(path):
        with atomic_folder(path) as folder:
            write_text(folder / INDEX, words_page(found, catalog))
            write_csv(folder / "hits.csv", found.table)
    elif kind == ".html":
        write_text(path, words_page(found, catalog))
    elif kind == ".json":
        write_json(path, found.to_dict())
    else:
        _write_table(path, found.table)


def _write_table(path: Path, table: pd.DataFrame) -> None:
    from untrain.core.files import write_csv, write_parquet

    (write_parquet if path.suffix.lower() == ".parquet" else write_csv)(path, table)


def print_trace(found: Trace, out: Sequence[Path], beside: SideBySide | None) -> None:
    """Print the answer for one picture, or a line for each of several."""
    console = Printer()
    if len(found.queries) == 1 and not found.skipped:
        _print_one(console, found, beside)
    else:
        _print_several(console, found, beside)
    _print_notes(console, found.notes)
    about = found.about
    console.print(
        f"{sum(found.seconds.values()):.2f} s for {about['images']:,} images of "
        f"{escape(about['catalog'])}; {about['candidates']} compared by every metric, ranking "
        f"{escape(about['ranking'])}"
        + (f"; influence took {found.seconds['influence']:.2f} s of it" if beside else ""),
        soft_wrap=True,
    )
    _print_written(console, out)
    if found.skipped:
        named = "; ".join(f"{each.name}: {each.reason}" for each in found.skipped[:NAMED])
        more = f"; … {len(found.skipped) - NAMED} more" if len(found.skipped) > NAMED else ""
        count = len(found.skipped)
        what = "1 picture was" if count == 1 else f"{count} pictures were"
        console.print(f"[bold red]{what} skipped:[/] {escape(named)}{more}", soft_wrap=True)


def print_words(found: WordHits, out: Sequence[Path]) -> None:
    """Print the images whose captions are nearest to words."""
    console = Printer()
    table = Table(title=escape(f"“{found.about['prompt']}”"), title_justify="left")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("image", no_wrap=True, max_width=24)
    table.add_column("text", justify="right", no_wrap=True)
    table.add_column("caption")
    for hit in found.table.to_dict("records"):
        caption = Text(one_line(hit["caption"]), no_wrap=True, overflow="ellipsis")
        row = [str(hit["rank"]), escape(hit["image_id"]), f"{hit['score']:.2f}"]
        table.add_row(*row, caption)
    console.print(table)
    _print_notes(console, found.notes)
    about = found.about
    console.print(
        f"{found.seconds:.2f} s for {about['images']:,} captions of {escape(about['catalog'])}",
        soft_wrap=True,
    )
    _print_written(console, out)


def _print_notes(console: Printer, notes: Sequence[Note]) -> None:
    for note in notes:
        console.print(f"[yellow]note:[/] {escape(str(note))}", soft_wrap=True)


def _print_written(console: Printer, out: Sequence[Path]) -> None:
    for path in out:
        page = path / "index.html" if is_folder(path) else path
        console.print(f"written: [bold]{escape(str(page))}[/]", soft_wrap=True)


def _print_one(console: Printer, found: Trace, beside: SideBySide | None) -> None:
    from untrain.report.edited import copy_sentence
    from untrain.report.page.trace import copy_verdict

    verdicts = dict(zip(found.summary["query"], found.summary["verdict"], strict=True))
    for copy in found.copies.itertuples():
        console.print(_table(found, str(copy.query)))
        style = "bold" if copy.near_copy else ""
        console.print(Text(copy_verdict(copy, verdicts[copy.query]), style), soft_wrap=True)
        own = found.edited[found.edited["query"] == copy.query]
        if len(own):
            style = "bold" if (own["verdict"] != "similar").any() else ""
            words = copy_sentence(own, found.about["edited"])
            console.print(Text(words, style), soft_wrap=True)
        if beside is not None:
            console.print(_influence(beside, str(copy.query)))
            console.print(f"likeness and influence: {beside.agreement[str(copy.query)]}")
        console.print()


def _print_several(console: Printer, found: Trace, beside: SideBySide | None) -> None:
    """Print a line a picture: what is nearest, how near, and whether it is a copy."""
    from untrain.search.traced import COPIES, UNSURE

    table = Table(box=None, pad_edge=False)
    table.add_column("picture", no_wrap=True, max_width=28)
    table.add_column("nearest", no_wrap=True, max_width=24)
    table.add_column("cosine", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if beside is not None:
        table.add_column("most influence", no_wrap=True, max_width=24)
    table.add_column("caption of the nearest")  # the one that gives way on a narrow terminal
    for line in found.summary.itertuples():
        is_copy = str(line.verdict) != "none"
        of = f" of {line.copy_of}" if str(line.copy_of) != str(line.image_id) else ""
        row = [escape(str(line.query)), escape(str(line.image_id)), f"{line.cosine:.3f}"]
        row.append(escape(f"{line.verdict}{of}") if is_copy else "–")
        if beside is not None:
            influence = beside.table(str(line.query)).sort_values("influence_rank")
            row.append(escape(str(influence["image_id"].iloc[0])))
        caption = Text(one_line(str(line.caption)), no_wrap=True, overflow="ellipsis")
        table.add_row(*row, caption, style="bold" if is_copy else "")
    console.print(table)
    copies = int(found.summary["verdict"].isin(COPIES).sum())
    unsure = int((found.summary["verdict"] == UNSURE).sum())
    alike = f", {unsure:,} copies or only alike" if unsure else ""
    console.print(
        f"{len(found.queries):,} pictures, {copies:,} of them copies of training images{alike}; "
        "the answers with all hits: --out DIR or FILE.html to browse, .parquet or .csv, --json",
        soft_wrap=True,
    )


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
        caption = Text(one_line(hit["caption"]), no_wrap=True, overflow="ellipsis")
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
        caption = Text(one_line(hit["caption"]), no_wrap=True, overflow="ellipsis")
        table.add_row(*row, caption, style=style)
    return table


def _copy(hit: dict) -> str:
    if hit["same_as"]:
        return f"= {escape(hit['same_as'])}"
    return "[bold]near copy[/]" if hit["near_copy"] else ""
