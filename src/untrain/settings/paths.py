"""Paths in settings: which settings name one, and where a relative one starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from untrain.attribution.registry import is_search_ranking
from untrain.search.rank.ranking import parse_method
from untrain.settings.config import Config
from untrain.settings.sections import EncoderConfig, GeneratorConfig, Given

PATHS = ("path", "file", "ids", "keep_in", "neighbours_of", "exclude")
"""Settings that name a file or folder."""
WEIGHTS = ("path", "vae", "pipeline")
"""Options that name a folder of weights, or the id of a hub."""


def resolve_paths(config: Config, base: Path) -> Config:
    """Make the paths of an experiment file in ``base`` absolute; the id of a hub stays as it is."""

    def absolute(section: Any, name: str) -> Any:
        path = getattr(section, name)
        return section.model_copy(update={name: path and base / path.expanduser()})

    def local(encoder: EncoderConfig) -> EncoderConfig:
        options = {k: beside(v) if k in WEIGHTS else v for k, v in encoder.options.items()}
        return encoder.model_copy(update={"name": named(encoder.name), "options": options})

    def own(generator: GeneratorConfig) -> GeneratorConfig:
        changed: dict[str, Any] = {
            part: {k: beside(v) if k in WEIGHTS else v for k, v in getattr(generator, part).items()}
            for part in ("settings", "options")
        }
        return generator.model_copy(update={"name": named(generator.name), **changed})

    def named(name: str) -> str:
        file, colon, attribute = name.rpartition(":")
        if not file.endswith(".py"):
            return name
        return f"{(base / Path(file).expanduser()).resolve()}{colon}{attribute}"

    def beside(path: Any) -> Any:
        return str((base / path).resolve()) if path and (base / str(path)).is_dir() else path

    def ranked(method: str) -> str:
        return parse_method(method).beside(base) if is_search_ranking(method) else method

    ranking = config.ranking.model_copy(
        update={
            "method": ranked(config.ranking.method),
            "also": tuple(map(ranked, config.ranking.also)),
        }
    )
    removal = absolute(config.removal, "ids")
    if removal.rankings:
        removal = removal.model_copy(update={"rankings": tuple(map(ranked, removal.rankings))})
    data = absolute(config.data, "path")
    if isinstance(data.exclude, tuple):
        lists = tuple(base / path.expanduser() for path in data.exclude)
        data = data.model_copy(update={"exclude": lists})
    else:
        data = absolute(data, "exclude")
    if isinstance(data.keep_in, Path):  # and not the ids themselves
        data = absolute(data, "keep_in")
    if data.subset:
        data = data.model_copy(update={"subset": absolute(data.subset, "neighbours_of")})
    generations = config.generations
    if isinstance(generations, Given):
        generations = absolute(generations, "path")
    changed = {
        "generations": generations,
        "data": data,
        "prompts": absolute(config.prompts, "file"),
        "removal": removal,
        "generator": own(config.generator),
        "encoder": local(config.encoder),
        "copies": config.copies.model_copy(update={"encoder": local(config.copies.encoder)}),
        "ranking": ranking,
    }
    return config.model_copy(update=changed)
