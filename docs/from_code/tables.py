"""The tables of a run folder, from their schemas."""

from __future__ import annotations

from from_code.prose import prose


def tables() -> str:
    """Return the columns of every table of a run folder, from the schemas that check them."""
    from untrain.core.tables import TABLES

    parts = []
    for name, table in TABLES.items():
        lines = [f"## {name}{table.suffix}", "", f"A row is {prose(table.meaning)}.", ""]
        lines += ["| column | type | what it is |", "|---|---|---|"]
        for column in table.columns:
            kind = f"{column.kind}, or missing" if column.nullable else str(column.kind)
            values = " or ".join(f"`{value}`" for value in column.values)
            says = prose(f"{column.meaning} {values}.") if values else prose(column.meaning)
            lines.append(f"| `{column.name}` | {kind} | {says} |")
        if table.others:
            lines.append(f"| any other | number | {prose(table.others)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
