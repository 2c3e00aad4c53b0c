"""What the documentation takes from the code: settings, commands, tables, names, whole files.

A page asks for it with ``<!-- generated: settings -->`` on a line of its own; what follows, up to
``<!-- /generated -->``, is written there by ``python docs/hooks.py`` so that the page can be read
without the site. The site is always built with what the code says at that moment.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
END = "<!-- /generated -->"
MARK = re.compile(
    rf"^(?P<mark><!-- generated: (?P<what>\S+) -->)\n(?P<text>.*?)^{END}$",
    re.MULTILINE | re.DOTALL,
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is generated in the place of its marks; MkDocs calls this for each page."""
    return MARK.sub(lambda match: generated(match["what"]), markdown)


def generated(what: str) -> str:
    """Return the Markdown that a mark stands for: a name below, or a file of the repository."""
    made = makers()
    return made[what]() if what in made else document(ROOT / what)


def makers() -> dict[str, Callable[[], str]]:
    """Return what makes each generated part of the pages."""
    return {
        "settings": settings,
        "presets": presets,
        "diffusion-presets": diffusion_presets,
        "checks": checks,
        "names": names,
        "commands": commands,
        "tables": tables,
        "python": python,
    }


def refreshed(page: Path) -> str:
    """Return a page's text with its generated parts as the code has them now.

    Marks that stand for a file of the repository keep what they have: a link to it.
    """

    def renew(match: re.Match[str]) -> str:
        if match["what"] not in makers():
            return match[0]
        return f"{match['mark']}\n\n{generated(match['what'])}\n\n{END}"

    return MARK.sub(renew, page.read_text(encoding="utf-8"))


def pages() -> list[Path]:
    """Return the pages with generated parts."""
    return sorted(page for page in DOCS.rglob("*.md") if MARK.search(page.read_text("utf-8")))


def refresh() -> None:
    """Write the generated parts into the pages, and name those that changed."""
    for page in pages():
        text = refreshed(page)
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            print(page.relative_to(ROOT))


def document(path: Path) -> str:
    """Return a document from outside ``docs`` with its links as seen from there, or a program."""
    if path.suffix == ".py":
        return f'```python title="{path.name}"\n{path.read_text(encoding="utf-8")}```'
    text = path.read_text(encoding="utf-8").replace("](docs/", "](")
    here = {"ARCHITECTURE.md": "architecture.md", "CHANGELOG.md": "changelog.md"}
    for name, page in here.items():
        text = text.replace(f"]({name})", f"]({page})")
    return text


# Settings ---------------------------------------------------------------------------------------


def settings() -> str:
    """Return a table for each section of an experiment file, from the models that check it."""
    return "\n\n".join(_section(key, model) for key, model in sections())


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the sections of an experiment file by their keys, the top level as ``""``."""
    from untrain.settings.config import Config

    def walk(key: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
        yield key, model
        for name, field in model.model_fields.items():
            if below := _model(field):
                yield from walk(f"{key}.{name}".lstrip("."), below)

    return walk("", Config)


def _section(key: str, model: type[BaseModel]) -> str:
    heading = f"## {key}" if key else "## Top level"
    lines = [heading, "", _prose(inspect.getdoc(model) or ""), ""]
    lines += ["| setting | type | default | what it is |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        below = _model(field)
        path = f"{key}.{name}".lstrip(".")
        says = _prose(field.description or "")
        if below:
            anchor = re.sub(r"[^a-z0-9_-]", "", path)
            says = says or (inspect.getdoc(below) or "").splitlines()[0]
            says = f"{_prose(says)} [Its settings](#{anchor})"
        default = _default(field)
        if below and default.startswith("`"):  # what the section itself has as defaults
            default = ""
        kind = "section" if below else _type(field)
        lines.append(f"| `{name}` | {kind} | {default} | {says} |")
    return "\n".join(lines)


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the section that a field holds, if it holds one."""
    options = [field.annotation, *get_args(field.annotation)]
    if int in options:  # a number, or a section in its place: its description says both
        return None
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
    if value is None or value == {}:
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _type(field: FieldInfo) -> str:
    """Return a field's type for people, with the limits that its values must keep."""
    words = _type_words(field.annotation)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}
    limits = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return f"{words} ({', '.join(limits)})" if limits else words


def _type_words(annotation: Any) -> str:
    plain = {int: "number", float: "number", str: "text", bool: "yes or no", Path: "path"}
    if annotation in plain:
        return {int: "whole number"}.get(annotation, plain[annotation])
    arguments = [a for a in get_args(annotation) if a not in (type(None), Ellipsis)]
    if arguments and all(isinstance(a, str) for a in arguments):  # Literal
        return " or ".join(f"`{a}`" for a in arguments)
    origin = getattr(annotation, "__origin__", None)
    if origin is dict:
        return "mapping"
    if origin is tuple:
        return f"list of {_type_words(arguments[0]).removeprefix('whole ')}s"
    return " or ".join(dict.fromkeys(_type_words(a) for a in arguments if not _rule(a))) or "text"


def _rule(argument: Any) -> bool:
    return not isinstance(argument, type) and not get_args(argument)


def _prose(text: str) -> str:
    """Turn a docstring or a description into Markdown of one table's cell or paragraph."""
    joined = re.sub(r"\s*\n(?!\n)\s*", " ", text.strip())
    return joined.replace("``", "`").replace("|", "\\|")


# Tables -----------------------------------------------------------------------------------------


def tables() -> str:
    """Return the columns of every table of a run folder, from the schemas that check them."""
    from untrain.core.tables import TABLES

    parts = []
    for name, table in TABLES.items():
        lines = [f"## {name}{table.suffix}", "", f"A row is {_prose(table.meaning)}.", ""]
        lines += ["| column | type | what it is |", "|---|---|---|"]
        for column in table.columns:
            kind = f"{column.kind}, or missing" if column.nullable else str(column.kind)
            values = " or ".join(f"`{value}`" for value in column.values)
            says = _prose(f"{column.meaning} {values}.") if values else _prose(column.meaning)
            lines.append(f"| `{column.name}` | {kind} | {says} |")
        if table.others:
            lines.append(f"| any other | number | {_prose(table.others)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


# Presets and names ------------------------------------------------------------------------------


def presets() -> str:
    """Return the presets of the generator side by side."""
    from untrain.generators.dalle.presets import PRESETS

    return _side_by_side({name: preset.to_dict() for name, preset in PRESETS.items()})


def diffusion_presets() -> str:
    """Return the presets of the diffusion generator side by side."""
    from untrain.generators.diffusion.presets import DIFFUSION_PRESETS

    return _side_by_side({name: preset.to_dict() for name, preset in DIFFUSION_PRESETS.items()})


def checks() -> str:
    """Return the checks of a generator, each with its first line."""
    from untrain.testing.checks import CHECKS

    lines = ["| check | what must hold |", "|---|---|"]
    for check in CHECKS:
        says = (check.__doc__ or "").strip().splitlines()[0]
        lines.append(f"| `{check.__name__.removeprefix('check_')}` | {says} |")
    return "\n".join(lines)


def _side_by_side(columns: dict[str, dict[str, Any]]) -> str:
    lines = ["| setting | " + " | ".join(f"`{name}`" for name in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for setting in next(iter(columns.values())):
        cells = [_short(preset[setting]) for preset in columns.values()]
        lines.append(f"| `{setting}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def names() -> str:
    """Return what each registered name may be."""
    from untrain.attribution.registry import ATTRIBUTORS, is_search_ranking
    from untrain.catalogs import CATALOGS
    from untrain.counterfactual.arms import ARMS
    from untrain.encoders import ENCODERS
    from untrain.experiment.tracking import TRACKERS
    from untrain.generators.registry import GENERATORS
    from untrain.search.rank.ranking import RANKINGS
    from untrain.search.retrieve.candidates import RETRIEVERS
    from untrain.training.engines import ENGINES

    kinds: dict[str, Iterable[str]] = {
        "data.format": CATALOGS,
        "generator.name": GENERATORS,
        "encoder.name": ENCODERS,
        "retrieval.method": RETRIEVERS,
        "ranking.method": RANKINGS,
        "ranking.method: attributors": [
            name for name in ATTRIBUTORS if not is_search_ranking(name)
        ],
        "removal.arms": ARMS,
        "engine.name": ENGINES,
        "tracking.name": TRACKERS,
    }
    lines = ["| setting | names |", "|---|---|"]
    for setting, registry in kinds.items():
        lines.append(f"| `{setting}` | " + ", ".join(f"`{name}`" for name in registry) + " |")
    return "\n".join(lines)


# Commands ---------------------------------------------------------------------------------------


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
        says = _prose(_plain(inspect.cleandoc(command.help or "").partition("\n\n")[0]))
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
        lines += [f"| `{head}` | {_prose(_plain(says))} | {value} |" for head, says, value in rows]
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
            lines += [_prose(_plain(paragraph)), ""]
    return lines[:-1]


def _plain(text: str) -> str:
    """Take rich's marks out of a text."""
    from rich.text import Text

    return Text.from_markup(text).plain


def _option_default(option: Any) -> str:
    default = option.default
    if callable(default) or default in (None, False, "", [], ()):
        return ""
    value = ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
    return f"`{getattr(value, 'value', value)}`"


# Python -----------------------------------------------------------------------------------------

DOCUMENTED = re.compile(r"^## (?P<section>.+)$|^::: (?P<name>\S+)$", re.MULTILINE)


def python() -> str:
    """Return every documented name with its first sentence, section by section of its page."""
    text = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    parts, section = [], ""
    for match in DOCUMENTED.finditer(text):
        if match["section"]:
            section = match["section"]
            continue
        if section:
            parts += [f"**{section}**", "", "| name | what it is |", "|---|---|"]
            section = ""
        parts += _rows_of(match["name"])
        parts.append("")
    return re.sub(r"\|\n\n\|", "|\n|", "\n".join(parts)).strip()


def _rows_of(path: str) -> list[str]:
    """Return the rows of a name: its own, and one for each public member of a class."""
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    rows = [f"| [`{name}{_signature(found)}`](#{path}) | {_first_sentence(found)} |"]
    for member, value in vars(found).items() if inspect.isclass(found) else ():
        plain = getattr(value, "__func__", value)  # of class methods and static methods
        shown = inspect.isfunction(plain) or isinstance(plain, property | cached_property)
        if shown and not member.startswith("_") and _first_sentence(plain):
            rows.append(f"| `{name}.{member}{_signature(plain)}` | {_first_sentence(plain)} |")
    return rows


def _signature(found: Any) -> str:
    """Return what must be given, and an ellipsis where more may be; nothing for a property."""
    if not callable(found):
        return ""
    try:
        given = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return "()"
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    listed = [p for p in given if p.name not in ("self", "cls")]
    needed = [p.name for p in listed if p.default is p.empty and p.kind not in free]
    return f"({', '.join(needed + ['…'] * (len(needed) < len(listed)))})"


def _first_sentence(found: Any) -> str:
    """Return the first paragraph of a docstring on one line."""
    text = getattr(found, "func", found)  # of cached properties
    return _prose((inspect.getdoc(text) or "").partition("\n\n")[0])


if __name__ == "__main__":
    refresh()
