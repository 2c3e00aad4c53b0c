"""Arguments that several commands share: an experiment file, its settings, a run folder."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from untrain.cli import completion

if TYPE_CHECKING:
    from untrain.settings.config import Config

_FILE = typer.Argument(
    help="The experiment file (YAML); `untrain init` writes one.",
    show_default=False,
    autocompletion=completion.experiment_files,
)
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "seed": (int | None, typer.Option(None, "--seed", help="Replace the seed in the file.")),
    "name": (
        str | None,
        typer.Option(
            None, "--name", help="Replace the name in the file, which names the run folder."
        ),
    ),
    "runs": (
        Path | None,
        typer.Option(None, "--runs", help="Folder that holds the runs (default: ./runs)."),
    ),
    "settings": (
        list[str],
        typer.Option(
            [],
            "--set",
            metavar="KEY=VALUE",
            help="Replace one setting, such as data.path=photos; repeatable.",
            autocompletion=completion.settings,
        ),
    ),
    "engine": (
        str | None,
        typer.Option(
            None,
            "--engine",
            help="Where models are trained: local, or ray (pip install 'untrain\\[ray]').",
            autocompletion=completion.engines,
        ),
    ),
    "address": (
        str | None,
        typer.Option(
            None,
            "--address",
            help="Address of the Ray cluster: auto, host:port or ray://host:port.",
        ),
    ),
    "workers": (
        int | None,
        typer.Option(None, "--workers", help="Number of models to train at the same time."),
    ),
    "threads": (
        int | None,
        typer.Option(None, "--threads", help="Threads for model A, the frozen parts and features."),
    ),
    "strict": (
        bool,
        typer.Option(
            False, "--strict", help="Fail on the first unusable image instead of skipping it."
        ),
    ),
}
FEW = ("seed", "name", "runs", "settings")
ALL = tuple(_OPTIONS)

JSON = typer.Option(False, "--json", help="Print only JSON on standard output.")
RUN = typer.Argument(
    help="A run folder, its name in ./runs, or its experiment file.",
    show_default=False,
    autocompletion=completion.runs,
)


def takes_experiment(
    *options: str, file: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take an experiment file, and the ``options`` that replace its settings.

    The command is called with ``read``, a function that turns a file into a `Config`; with
    ``file``, unless it knows the file itself (``file=False``); and with its own options, which
    help shows last.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**values: Any) -> None:
            given = {name: values.pop(name) for name in options}
            command(read=functools.partial(_read, given), **values)

        shared = {"file": (Path, _FILE)} if file else {}
        shared |= {name: _OPTIONS[name] for name in options}
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(name, keyword, default=option, annotation=kind)
            for name, (kind, option) in shared.items()
        ]
        own = inspect.signature(command).parameters.values()
        parameters += [p.replace(kind=keyword) for p in own if p.name not in ("read", "file")]
        # What typer reads to know the command's parameters.
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        return call

    return decorate


def _read(given: dict[str, Any], file: Path) -> Config:
    """Return the configuration in a file, with what was given beside it."""
    from untrain.core.manifest import RECORD
    from untrain.runs.record import CONFIG, COPY, restore
    from untrain.settings.load import load_config

    strict, address = given.get("strict"), given.get("address")
    changes = {name: given.get(name) for name in ("seed", "name", "runs", "workers", "threads")}
    engine = given.get("engine")
    # An address without an engine means Ray.
    changes["engine"] = {"name": engine or "ray", "address": address} if address else engine
    if (file / RECORD).is_file() or (file / COPY).is_file():
        restore(file)
        file = file / CONFIG
    config = load_config(file, given.get("settings") or (), **changes)
    if strict:
        config = config.model_copy(update={"data": config.data.model_copy(update={"strict": True})})
    return config
