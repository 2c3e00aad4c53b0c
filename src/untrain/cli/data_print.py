"""What ``untrain data`` prints: summaries, groups of copies, edited copies."""

from __future__ import annotations

from typing import Any

from untrain.core.printing import Printer, escape

SHOWN = 12  # groups on the terminal


def print_nested(summary: dict[str, Any], indent: int = 0) -> None:
    """Print a summary, indented where it holds others."""
    console = Printer()
    for key, value in summary.items():
        label = " " * indent + escape(str(key)).replace("_", " ")
        if value in ({}, []):
            console.print(f"{label}: none")
        elif isinstance(value, dict):
            console.print(f"[bold]{label}[/]")
            print_nested(value, indent + 2)
        elif isinstance(value, list):
            shown = ", ".join(map(str, value[:8]))
            more = f", … ({len(value)})" if len(value) > 8 else ""
            console.print(f"{label}: {escape(shown)}{more}", soft_wrap=True)
        else:
            console.print(f"{label}: {escape(str(value))}", soft_wrap=True)


def print_groups(found: dict[str, Any]) -> None:
    """Print the counts, and some groups: those with near copies before the others."""
    from rich.table import Table

    console = Printer()
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


def print_pairs(pairs: list[dict[str, Any]]) -> None:
    """Print edited copies, those with the colours of their original first."""
    from rich.table import Table

    from untrain.report.edited import edits, finds

    console = Printer()
    same = sum(pair["verdict"] == "copy" for pair in pairs)
    console.print(
        f"edited copies: {same:,} pairs; copies or variants (another colour or print of the same "
        f"product): {len(pairs) - same:,} pairs",
        soft_wrap=True,
    )
    table = Table(box=None)
    for column in ("image", "of", "kind", "score"):
        table.add_column(column, no_wrap=True)
    table.add_column("what was done")
    for pair in sorted(pairs, key=lambda p: p["verdict"] != "copy")[:SHOWN]:
        names = escape(pair["image_id"]), escape(pair["of"])
        kind = pair["verdict"].replace("_", " ")
        table.add_row(*names, kind, f"{pair['score']:.3f}", edits(pair["kinds"]))
    if pairs:
        console.print(table)
    if len(pairs) > SHOWN:
        console.print(f"… {len(pairs) - SHOWN:,} more pairs: --csv FILE writes them all")
    console.print(escape(finds("thorough")), soft_wrap=True)
