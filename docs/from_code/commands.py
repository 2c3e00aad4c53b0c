"""The reference of the commands, from the command line itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from from_code.prose import plain, prose


def commands() -> str:
    """Return the reference of every command, from the command line itself, an overview first."""
    parts = [_command(name, command) for name, command in all_commands()]
    return "\n\n".join([_overview(), *parts])


def _overview() -> str:
    """Return a table for each group of commands that ``untrain --help`` shows."""
    import typer

    from untrain.cli import app

    first_words = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    groups: dict[str, list[str]] = {}
    for name, command in all_commands():
        group = getattr(first_words[name.split()[0]], "rich_help_panel", None) or "Other"
        says = prose(plain(inspect.cleandoc(command.help or "").partition("\n\n")[0]))
        row = f"| [`{name}`](#untrain-{name.replace(' ', '-')}) | {says} |"
        groups.setdefault(str(group), []).append(row)
    head = ["", "| command | what it does |", "|---|---|"]
    return "\n\n".join("\n".join([f"**{group}**", *head, *rows]) for group, rows in groups.items())


def all_commands() -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, by what one types after ``untrain``."""
    import typer

    from untrain.cli import app

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", None)
        if name and (below is None or command.invoke_without_command):
            yield name, command
        for key, child in (below or {}).items():
            if not child.hidden:
                yield from walk(f"{name} {key}".strip(), child)

    return walk("", typer.main.get_command(app))


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join(["untrain", name, *(_usage(a) for a in arguments)])
    usage += " [OPTIONS]" if options else ""
    lines = [f"## untrain {name}", "", "```text", usage, "```", "", *_help(command.help or "")]
    rows = [(_usage(a), getattr(a, "help", "") or "", "") for a in arguments]
    rows += [(", ".join(o.opts), o.help or "", _option_default(o)) for o in options]
    if rows:
        lines += ["", "| option | what it does | default |", "|---|---|---|"]
        lines += [f"| `{head}` | {prose(plain(says))} | {value} |" for head, says, value in rows]
    return "\n".join(lines)


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("…" if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _help(text: str) -> list[str]:
    """Return a command's help; its examples become code."""
    lines = []
    for paragraph in inspect.cleandoc(text.replace("\f", "")).split("\n\n"):
        head, _, example = paragraph.partition("Example: ")
        if example and not head.strip():
            lines += ["```text", " ".join(example.split()), "```", ""]
        else:
            lines += [prose(plain(paragraph)), ""]
    return lines[:-1]


def _option_default(option: Any) -> str:
    default = option.default
    if callable(default) or default in (None, False, "", [], ()):
        return ""
    value = ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
    return f"`{getattr(value, 'value', value)}`"
