"""The experiment file: what it may say, its defaults, and errors that name the line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from untrain.core.errors import InputError, did_you_mean
from untrain.settings.sections import (
    Copies,
    Data,
    Design,
    EncoderConfig,
    EngineConfig,
    Evaluation,
    Fault,
    GeneratorConfig,
    Given,
    Prompts,
    Ranking,
    Removal,
    Retrieval,
    Section,
    TrackingConfig,
)

PATHS = ("path", "file", "ids", "neighbours_of")  # settings that name a file or folder
WEIGHTS = ("path", "vae", "pipeline")  # options that name a folder of weights, or a hub id


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"'{name}' cannot name a run folder: use letters, digits, '.', '_' and '-', "
            "with a letter or digit first"
        )
    return name


def _generations(value: Any) -> Any:
    """Take a number, or the place of finished pictures."""
    if isinstance(value, dict):
        known = list(Given.model_fields)
        for key in value:
            if key not in known:
                raise ValueError(f"unknown key '{key}'{did_you_mean(str(key), known)}")
        try:
            return Given.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if isinstance(value, Given) or (isinstance(value, int) and value >= 1):
        return value
    raise ValueError(
        f"should be {{path: folder}}, or greater than or equal to 1, found {_shown(value)}"
    )


class Config(Section):
    """One experiment."""

    name: Annotated[str, AfterValidator(_folder_name)] = Field(
        "experiment", description="name of the run folder"
    )
    runs: Path = Field(
        Path("runs"), description="folder of run folders; of the working directory, not this file's"
    )
    seed: int = Field(0, description="model A, noise, forget sets, assignment")
    seed_b: int | None = Field(None, description="seed of the paired models; default seed + 1000")
    generations: Annotated[int | Given, BeforeValidator(_generations)] = Field(
        5,
        description="pictures a prompt; one more is the reference. Or {path: folder} of finished "
        "pictures, each <id>.png beside its prompt, <id>.txt",
    )
    workers: int | None = Field(None, ge=1, description="models trained at once; default: cores")
    engine: EngineConfig = EngineConfig()
    data: Data = Data()
    prompts: Prompts = Prompts()
    generator: GeneratorConfig = GeneratorConfig()
    encoder: EncoderConfig = EncoderConfig()
    retrieval: Retrieval = Retrieval()
    ranking: Ranking = Ranking()
    copies: Copies = Copies()
    removal: Removal = Removal()
    design: Design = Design()
    evaluation: Evaluation = Evaluation()
    tracking: TrackingConfig | None = Field(None, description="off unless given")

    @model_validator(mode="after")
    def _check(self) -> Self:
        sources = [bool(self.prompts.file), bool(self.prompts.texts), bool(self.prompts.families)]
        if isinstance(self.generations, Given):
            if any(sources):
                raise Fault("prompts", "the pictures of generations.path bring their own prompts")
        elif sum(sources) != 1:
            raise Fault("prompts", "give exactly one of 'file', 'texts' and 'families'")
        if self.prompts.families and self.data.format != "rendered":
            raise Fault(
                "prompts.families",
                f"only the format 'rendered' has families, data.format is '{self.data.format}'; "
                "use prompts.file or prompts.texts",
            )
        if self.prompts.controls and not (self.prompts.families or self.data.plant):
            raise Fault("prompts.controls", "needs prompts.families or data.plant")
        if self.removal.k[-1] > self.retrieval.top:
            raise Fault(
                "removal.k",
                f"{self.removal.k[-1]} images are to be removed of the {self.retrieval.top} "
                "candidates of a prompt; lower k or raise retrieval.top",
            )
        if self.seed in self.b_seeds:
            raise Fault(
                "seed_b",
                f"{self.seed_b} trains a model of the trial with the seed of A ({self.seed}); "
                "effects must be measured between models of other seeds",
            )
        needed = {"targeted"}
        if self.design.kind == "before-after":
            needed.add("random_uniform")
        for arm in sorted(needed - set(self.removal.arms)):
            raise Fault("removal.arms", f"the design '{self.design.kind}' needs the arm '{arm}'")
        return self

    @property
    def given(self) -> Given | None:
        """The finished pictures that stand in for a model, if any do."""
        return self.generations if isinstance(self.generations, Given) else None

    @property
    def per_prompt(self) -> int:
        """Pictures that the model draws a prompt; 0 where they are given."""
        return self.generations if isinstance(self.generations, int) else 0

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / self.name

    @property
    def b_seed(self) -> int:
        """Seed of the paired models, or the first of those that are not paired."""
        return self.seed + 1000 if self.seed_b is None else self.seed_b

    @property
    def b_seeds(self) -> range:
        """Seeds of all models that effects are measured between."""
        before_after = self.design.kind == "before-after"
        paired, others = (2, 4) if before_after else (1, self.design.models)
        return range(self.b_seed, self.b_seed + (paired if self.design.paired else others))

    def to_dict(self) -> dict[str, Any]:
        """Return what YAML and JSON can hold."""
        return self.model_dump(mode="json")


def load_config(path: Path | str, settings: Sequence[str] = (), **changes: Any) -> Config:
    """Read an experiment file.

    Parameters
    ----------
    path : Path or str
        YAML; relative paths in it are relative to its folder, ``runs`` to the working directory.
    settings : sequence of str
        Further settings that replace those of the file, such as ``"data.path=photos"``; the value
        is YAML, a path is relative to the working directory.
    **changes
        Top-level settings that replace those of the file, such as ``seed=3``.

    Raises
    ------
    InputError
        No such file, no YAML, or a wrong key or value: named, with its line.
    """
    path = Path(path)
    node, values = _read(path)
    given: dict[tuple[str, ...], str] = {
        (key,): _option(key, value) for key, value in changes.items() if value is not None
    }
    values.update({key: value for key, value in changes.items() if value is not None})
    for setting in settings:
        given[tuple(_replace(values, setting))] = f"--set {setting}"
    return _checked(values, path, node, given)


def make_config(values: Mapping[str, Any]) -> Config:
    """Check settings as `load_config` does; relative paths are relative to the working directory.

    Raises
    ------
    InputError
        A wrong key or value.
    """
    return _checked(dict(values), Path("settings"), None, {})


def _checked(
    values: dict[str, Any],
    path: Path,
    node: yaml.Node | None,
    given: Mapping[tuple[str, ...], str],
) -> Config:
    """Return the settings that ``path`` is named for in errors, and whose folder paths start in."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        messages = [_explain(path, node, given, problem) for problem in error.errors()]
        raise InputError("\n".join(messages)) from None
    return _resolve(config, path.resolve().parent)


def _read(path: Path) -> tuple[yaml.Node | None, dict[str, Any]]:
    """Return a YAML file as nodes, which know their lines, and as values."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the experiment file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"the experiment file {path} is not text (UTF-8)") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or str(error)
        if "'\\t'" in what:
            what = "indent with spaces, not with tabs"
        raise InputError(f"{where}: not valid YAML: {what}") from None
    if not isinstance(values, dict):
        found = "nothing" if values is None else _shown(values)
        raise InputError(f"{path} must hold settings such as 'name: demo', found {found}")
    return node, values


def _replace(values: dict[str, Any], setting: str) -> list[str]:
    """Put one ``a.b.c=value`` into the nested values; return the parts of its key."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set takes key=value such as data.path=photos, found '{setting}'")
    *sections, last = key.strip().split(".")
    for section in sections:
        if values.get(section) is None:
            values[section] = {}
        values = values[section]
        if not isinstance(values, dict):
            raise InputError(f"--set {setting}: '{section}' has no settings of its own")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        what = getattr(error, "problem", None) or error
        raise InputError(f"--set {setting}: the value is not valid YAML: {what}") from None
    if last in PATHS and isinstance(value, str) and Path(value).exists():
        value = str(Path(value).resolve())
    values[last] = value
    return [*sections, last]


def _option(key: str, value: Any) -> str:
    """Return how a command line gives a setting; of a section, its name is what one writes."""
    return f"--{key} {value['name'] if isinstance(value, dict) else value}"


def _resolve(config: Config, base: Path) -> Config:
    """Make the paths of the file absolute; a hub id of an encoder stays as it is."""
    from untrain.search.rank.ranking import parse_method

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

    ranking = config.ranking.model_copy(
        update={
            "method": parse_method(config.ranking.method).beside(base),
            "also": tuple(parse_method(method).beside(base) for method in config.ranking.also),
        }
    )
    data = absolute(config.data, "path")
    if data.subset:
        data = data.model_copy(update={"subset": absolute(data.subset, "neighbours_of")})
    generations = config.generations
    if isinstance(generations, Given):
        generations = absolute(generations, "path")
    changed = {
        "generations": generations,
        "data": data,
        "prompts": absolute(config.prompts, "file"),
        "removal": absolute(config.removal, "ids"),
        "generator": own(config.generator),
        "encoder": local(config.encoder),
        "copies": config.copies.model_copy(update={"encoder": local(config.copies.encoder)}),
        "ranking": ranking,
    }
    return config.model_copy(update=changed)


def _explain(
    path: Path, node: yaml.Node | None, given: Mapping[tuple[str, ...], str], problem: Any
) -> str:
    """Turn one of pydantic's errors into a line that says where it is and what to write.

    ``given`` are the keys that did not come from the file, and how they were given.
    """
    fault = problem.get("ctx", {}).get("error")
    location = list(problem["loc"])
    if isinstance(fault, Fault):
        location = fault.key.split(".")
    line = _line_of(node, location)
    where = f"{path}, line {line}" if line else str(path)
    for parts, how in given.items():
        depth = min(len(parts), len(location))
        if depth and list(parts[:depth]) == location[:depth]:
            where = how
    key = ".".join(map(str, location))
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        return f"{where}: unknown key '{key}'{did_you_mean(str(location[-1]), known)}"
    message = problem["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
    if problem["type"] != "value_error":  # ours say what they found
        message += f", found {_shown(problem['input'])}"
    return f"{where}: {key}: {message}"


def _shown(value: Any) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)


def _line_of(node: yaml.Node | None, location: list[str | int]) -> int | None:
    """Return the line (from 1) of the deepest part of ``location`` that the file has."""
    line = None
    for part in location:
        if isinstance(node, yaml.MappingNode):
            match = next((kv for kv in node.value if kv[0].value == str(part)), None)
            if match is None:
                return line
            line, node = match[0].start_mark.line + 1, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _known_keys(location: list[str | int]) -> list[str]:
    model: type[BaseModel] = Config
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(model.model_fields)
