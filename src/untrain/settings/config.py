"""The settings of one experiment, all sections together, and what they refuse in each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from untrain.core.errors import did_you_mean
from untrain.settings.fields import Fault, Section
from untrain.settings.sections import (
    Copies,
    Data,
    Design,
    EncoderConfig,
    EngineConfig,
    Evaluation,
    GeneratorConfig,
    Given,
    Prompts,
    Ranking,
    Removal,
    Retrieval,
    TrackingConfig,
)


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
        f"should be {{path: folder}}, or greater than or equal to 1, found {shown(value)}"
    )


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)


class Config(Section):
    """One experiment."""

    name: Annotated[str, AfterValidator(_folder_name)] = Field(
        "experiment", description="name of the run folder"
    )
    runs: Path = Field(
        Path("runs"), description="folder of run folders, relative to the working directory"
    )
    seed: int = Field(0, description="model A, noise, forget sets, assignment")
    seed_b: int | None = Field(None, description="seed of the paired models; default seed + 1000")
    generations: Annotated[int | Given, BeforeValidator(_generations)] = Field(
        5,
        description="pictures per prompt; one more is the reference. Or {path: folder} of finished "
        "pictures, each <id>.png beside its prompt, <id>.txt",
    )
    workers: int | None = Field(None, ge=1, description="models trained at once; default: cores")
    threads: int | None = Field(
        None,
        ge=1,
        description="of model A, the frozen parts and features; default: cores. Paired models have "
        "one each",
    )
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
