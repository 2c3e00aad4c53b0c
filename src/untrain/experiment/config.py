"""The experiment file: what it may say, its defaults, and errors that name the line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from untrain.errors import InputError, did_you_mean

PATHS = ("path", "file", "ids")  # settings that name a file or folder


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subset(_Section):
    """A seeded part of the catalogue that includes the text neighbours of every prompt."""

    size: int = Field(ge=1, description="number of images")
    neighbours: int = Field(100, ge=0, description="nearest captions of each prompt to keep")


class Plant(_Section):
    """Odd pictures with odd captions added to the catalogue: a positive control."""

    items: int = Field(4, ge=1, description="how many different pictures")
    copies: int = Field(12, ge=1, description="slightly varied copies of each")


class Data(_Section):
    """The image–caption data set."""

    format: str = Field("rendered", description="rendered, folder or fashion")
    path: Path | None = Field(None, description="folder or zip; not for 'rendered'")
    families: int = Field(200, ge=1, description="rendered only: number of families")
    family_size: int = Field(12, ge=1, description="rendered only: pictures a family")
    seed: int = Field(0, description="seed of what is rendered, split and sampled")
    holdout: float = Field(0.04, ge=0, lt=1, description="share of images that no model sees")
    subset: Subset | None = None
    plant: Plant | None = None
    strict: bool = Field(False, description="one bad image is an error instead of being skipped")


class Prompts(_Section):
    """What is drawn: a file of prompts, a list, or prompts made for rendered families."""

    file: Path | None = Field(None, description="one prompt a line")
    texts: tuple[str, ...] = Field((), description="the prompts themselves")
    families: int = Field(0, ge=0, description="rendered only: prompts for this many families")
    controls: int = Field(
        0, ge=0, description="prompts for further families (or planted items): positive controls"
    )


class GeneratorConfig(_Section):
    """The model: a preset, and what to change of it."""

    preset: str = Field("tiny", description="micro, tiny, small or seed")
    settings: dict[str, Any] = Field({}, description="settings of the preset to change")


class EncoderConfig(_Section):
    """Features: 'layout' needs no weights; 'transformers' takes a hub id or local folder."""

    name: str = "layout"
    options: dict[str, Any] = Field({}, description="e.g. path: google/mobilenet_v2_1.0_224")


class Retrieval(_Section):
    """Stage one of the search: prompt → candidates."""

    method: str = "tfidf"
    top: int = Field(100, ge=1, description="candidates a prompt")


class Ranking(_Section):
    """Stage two of the search: candidates → scores; the first method decides what is removed."""

    method: str = Field("fusion", description="decides the targeted forget sets")
    also: tuple[str, ...] = Field(("study",), description="further rankings to report")


class Removal(_Section):
    """Which forget sets there are."""

    arms: tuple[str, ...] = ("targeted", "random_uniform", "random_candidate")
    k: tuple[int, ...] = Field((10,), min_length=1, description="nested sizes, primary first")
    draws: int = Field(1, ge=1, description="draws of each random arm")
    ids: Path | None = Field(None, description="a file of image ids: one more forget set")


class Design(_Section):
    """How the effect of a removal is measured."""

    kind: Literal["randomised", "before-after"] = "randomised"
    models: int = Field(10, ge=2, description="paired models of the randomised trial (even)")


class Evaluation(_Section):
    """Statistics."""

    draws: int = Field(2000, ge=100, description="re-drawn assignments of the randomisation test")
    alpha: float = Field(0.05, gt=0, lt=0.5, description="level of the verdicts")
    margin: float = Field(0.1, gt=0, description="equivalence margin, bits a token")


class Config(_Section):
    """One experiment."""

    name: str = Field("experiment", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    runs: Path = Field(Path("runs"), description="folder that holds the run folder")
    seed: int = Field(0, description="model A, noise, forget sets, assignment")
    seed_b: int | None = Field(None, description="seed of the paired models; default seed + 1")
    generations: int = Field(5, ge=1, description="pictures a prompt; one more is the reference")
    workers: int | None = Field(None, ge=1, description="models trained at once; default: cores")
    data: Data = Data()
    prompts: Prompts = Prompts()
    generator: GeneratorConfig = GeneratorConfig()
    encoder: EncoderConfig = EncoderConfig()
    retrieval: Retrieval = Retrieval()
    ranking: Ranking = Ranking()
    removal: Removal = Removal()
    design: Design = Design()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _check(self) -> Config:
        sources = [bool(self.prompts.file), bool(self.prompts.texts), bool(self.prompts.families)]
        if sum(sources) != 1:
            raise ValueError("prompts: give exactly one of 'file', 'texts' and 'families'")
        if self.prompts.families and self.data.format != "rendered":
            raise ValueError("prompts.families needs data.format 'rendered'")
        if list(self.removal.k) != sorted(set(self.removal.k)) or self.removal.k[0] < 1:
            raise ValueError("removal.k must be rising positive sizes, such as [10, 100]")
        if self.design.kind == "randomised" and (self.design.models < 4 or self.design.models % 2):
            raise ValueError("design.models must be even and at least 4")
        if self.design.kind == "before-after" and "random_uniform" not in self.removal.arms:
            raise ValueError("design before-after needs the arm 'random_uniform' as its control")
        return self

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.runs / self.name

    @property
    def b_seed(self) -> int:
        """Seed of the paired models."""
        return self.seed + 1 if self.seed_b is None else self.seed_b

    def to_dict(self) -> dict[str, Any]:
        """Return what YAML and JSON can hold."""
        return self.model_dump(mode="json")


def load_config(path: Path, settings: Sequence[str] = (), **changes: Any) -> Config:
    """Read an experiment file.

    Parameters
    ----------
    path : Path
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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the experiment file {path}: {error}") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} must be a mapping such as 'name: demo', found {type(values)}")
    values = {**values, **{k: v for k, v in changes.items() if v is not None}}
    for setting in settings:
        _replace(values, setting)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        messages = [_explain(path, node, problem) for problem in error.errors()]
        raise InputError("\n".join(messages)) from None
    return _resolve(config, path.resolve().parent)


def _replace(values: dict[str, Any], setting: str) -> None:
    """Put one ``a.b.c=value`` into the nested values."""
    key, equals, text = setting.partition("=")
    if not equals:
        raise InputError(f"--set takes key=value such as data.path=photos, found '{setting}'")
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {key}: '{section}' has no settings of its own")
        values = inner
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {key}: the value is not valid YAML: {error}") from None
    if last in PATHS and isinstance(value, str) and Path(value).exists():
        value = str(Path(value).resolve())
    values[last] = value


def _resolve(config: Config, base: Path) -> Config:
    """Make the paths of the file absolute; a hub id of an encoder stays as it is."""
    data = config.data.model_copy(update={"path": config.data.path and base / config.data.path})
    prompts = config.prompts.model_copy(
        update={"file": config.prompts.file and base / config.prompts.file}
    )
    removal = config.removal.model_copy(
        update={"ids": config.removal.ids and base / config.removal.ids}
    )
    encoder = config.encoder
    local = encoder.options.get("path")
    if local and (base / str(local)).is_dir():
        options = {**encoder.options, "path": str((base / str(local)).resolve())}
        encoder = encoder.model_copy(update={"options": options})
    changed = {"data": data, "prompts": prompts, "removal": removal, "encoder": encoder}
    return config.model_copy(update=changed)


def _explain(path: Path, node: yaml.Node | None, problem: Any) -> str:
    location = [part for part in problem["loc"] if isinstance(part, str | int)]
    line = _line_of(node, location)
    where = f"{path}, line {line}" if line else str(path)
    key = ".".join(map(str, location))
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        return f"{where}: unknown key '{key}'{did_you_mean(str(location[-1]), known)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {key + ': ' if key else ''}{message}"


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
