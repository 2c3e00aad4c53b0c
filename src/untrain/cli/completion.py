"""What the shell offers when Tab is pressed: run folders, experiment files, registered names.

A shell that gets nothing here offers files, as for any path.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path


def runs(incomplete: str) -> list[tuple[str, str]]:
    """Run folders in ./runs by name, and others by their path."""
    from untrain.runs.find import runs_in

    typed = Path(incomplete)
    parent = typed if incomplete.endswith("/") else typed.parent
    found = {folder.name: "a run" for folder in runs_in(Path("runs"))}
    found |= {str(folder): "a run" for folder in runs_in(parent)}
    return [(name, words) for name, words in found.items() if name.startswith(incomplete)]


def experiment_files(incomplete: str) -> list[str]:
    """YAML files beside what was typed."""
    parent = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    return _starting(incomplete, (str(p) for p in sorted(parent.glob("*.y*ml"))))


def engines(incomplete: str) -> list[str]:
    """Names of engines."""
    return _registered(incomplete, "untrain.training.engines:ENGINES")


def formats(incomplete: str) -> list[str]:
    """Names of catalogue formats."""
    return _registered(incomplete, "untrain.catalogs:CATALOGS")


def exports(incomplete: str) -> list[str]:
    """Names of formats that are written."""
    pairs = _registered(incomplete, "untrain.catalogs.export:EXPORTS")
    exchanges = _registered(incomplete, "untrain.exchange.registry:EXCHANGES")
    return pairs + exchanges + _registered(incomplete, "untrain.exchange.registry:CARDS")


def encoders(incomplete: str) -> list[str]:
    """Names of encoders; folders and hub ids are up to the user."""
    return _registered(incomplete, "untrain.encoders.registry:ENCODERS")


def rankings(incomplete: str) -> list[str]:
    """Names of rankings."""
    return _registered(incomplete, "untrain.search.rank.ranking:RANKINGS")


def attributors(incomplete: str) -> list[str]:
    """Names of attributors."""
    return _registered(incomplete, "untrain.attribution.registry:ATTRIBUTORS")


def unlearning_methods(incomplete: str) -> list[str]:
    """Names of methods of unlearning."""
    return _registered(incomplete, "untrain.unlearning.registry:METHODS")


def settings(incomplete: str) -> list[str]:
    """Keys of the experiment file, as --set takes them."""
    from untrain.settings.template import keys

    return _starting(incomplete, (f"{key}=" for key in keys()))


def _registered(incomplete: str, registry: str) -> list[str]:
    module, _, name = registry.partition(":")
    return _starting(incomplete, getattr(import_module(module), name))


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
