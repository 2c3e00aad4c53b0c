"""Options of commands that open a data set: its format, its columns, its other settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from untrain.cli import completion
from untrain.cli.catalogue import open_catalogue, open_named

if TYPE_CHECKING:
    from untrain.catalogs import Catalog

FORMATS = (
    *("folder", "csv", "parquet", "webdataset", "coco", "imagefolder", "datasets", "fashion"),
    "rendered",
)
"""The names of `untrain.catalogs.CATALOGS`, which takes a while to import; a test compares them."""

PATH = typer.Argument(
    None, help="Folder, file or pattern such as 'shards-{000..127}.tar'; default: 'rendered'."
)
STRICT = typer.Option(
    False, "--strict", help="Fail on the first unusable image instead of skipping it."
)
FRESH = typer.Option(False, "--fresh", help="Read every file again and ignore the cache.")
COLUMNS = ("caption", "image", "id")


@dataclass(frozen=True)
class DataOptions:
    """What a command line says of a data set beside its path."""

    format: str
    options: tuple[str, ...]

    def open(
        self,
        path: Path | None,
        strict: bool = False,
        fresh: bool = False,
        pictures_do: bool = False,
    ) -> Catalog:
        """Return the catalogue at a path; see `open_catalogue`."""
        return open_catalogue(path, self.format, strict, fresh, self.options, pictures_do)

    def named(self, catalog: str, fresh: bool = False) -> Catalog:
        """Return the training images that ``--catalog`` names; see `open_named`."""
        return open_named(catalog, self.format, fresh, self.options)


def takes_data(
    *names: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take a data set's format, columns and settings; it gets them as ``data``.

    Help shows them after the command's own options. ``names`` are those of the option for any
    setting; ``--option`` and ``-o`` if left out.
    """
    shared = _options(names or ("--option", "-o", "--data-option"))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**values: Any) -> None:
            format, options = values.pop("format"), list(values.pop("data_options"))
            for column in COLUMNS:
                name = values.pop(f"{column}_column")
                options += [f"{column}={name}"] if name else []
            command(data=DataOptions(format, tuple(options)), **values)

        keyword = inspect.Parameter.KEYWORD_ONLY
        own = inspect.signature(command, eval_str=False).parameters.values()
        parameters = [p.replace(kind=keyword) for p in own if p.name != "data"]
        parameters += [
            inspect.Parameter(name, keyword, default=option, annotation=kind)
            for name, (kind, option) in shared.items()
        ]
        # What typer reads to know the command's parameters.
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        return call

    return decorate


def _options(names: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    panel = "Data set"
    return {
        "format": (
            str,
            typer.Option(
                "",
                help=f"{', '.join(FORMATS)}; guessed from the path if left out.",
                autocompletion=completion.formats,
                rich_help_panel=panel,
            ),
        ),
        "caption_column": (
            str,
            typer.Option(
                "",
                "--caption-column",
                metavar="NAME",
                help="Column of the captions, or a template such as '{brand} {colour}'.",
                rich_help_panel=panel,
            ),
        ),
        "image_column": (
            str,
            typer.Option(
                "",
                "--image-column",
                metavar="NAME",
                help="Column of the images: paths in a CSV, bytes in Parquet.",
                rich_help_panel=panel,
            ),
        ),
        "id_column": (
            str,
            typer.Option(
                "",
                "--id-column",
                metavar="NAME",
                help="Column of the images' ids.",
                rich_help_panel=panel,
            ),
        ),
        "data_options": (
            list[str],
            typer.Option(
                [],
                *names,
                metavar="KEY=VALUE",
                help="Any setting as under data in an experiment file: captions=all, split=train, "
                "root=images/, where.year.min=2012, …; repeatable.",
                rich_help_panel=panel,
            ),
        ),
    }
