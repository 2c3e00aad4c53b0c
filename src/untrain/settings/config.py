"""The settings of one experiment, all sections together, and what they refuse in each other."""

from __future__ import annotations

import re
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from untrain.core.errors import InputError, did_you_mean
from untrain.settings.fields import LONGEST, AtOnce, Fault, Place, Section, Whole, shown
from untrain.settings.sections import (
    Attribution,
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

RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}
"""Names that no file can have on Windows, whatever follows their first dot."""
MOST_PICTURES = 10**6


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"'{name}' cannot name a run folder: use letters, digits, '.', '_' and '-', "
            "with a letter or digit first"
        )
    if len(name) > LONGEST:
        raise ValueError(f"has {len(name)} letters; expected at most {LONGEST}")
    if name.partition(".")[0].lower() in RESERVED or name.endswith("."):
        raise ValueError(
            f"'{name}' names no folder on Windows: choose another, as runs are moved between "
            "systems"
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
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, Given) or (whole and 1 <= value <= MOST_PICTURES):
        return value
    many = f" and at most {MOST_PICTURES:,}" if whole and value > 0 else ""
    raise ValueError(
        f"should be {{path: folder}}, or greater than or equal to 1{many}, found {shown(value)}"
    )


class Config(Section):
    """One experiment."""

    name: Annotated[str, AfterValidator(_folder_name)] = Field(
        "experiment", description="name of the run folder"
    )
    runs: Place = Field(
        Path("runs"), description="folder of run folders, relative to the working directory"
    )
    seed: Whole = Field(0, description="model A, noise, forget sets, assignment")
    seed_b: Whole | None = Field(None, description="seed of the paired models; default seed + 1000")
    generations: Annotated[int | Given, BeforeValidator(_generations)] = Field(
        5,
        description="pictures per prompt; one more is the reference. Or {path: folder} of finished "
        "pictures, each <id>.png beside its prompt, <id>.txt",
    )
    workers: AtOnce | None = Field(None, ge=1, description="models trained at once; default: cores")
    threads: AtOnce | None = Field(
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
    attribution: Attribution = Attribution()
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
        self._check_attribution()
        self._check_rankings()
        everything = self.ranking.scope == "catalogue"
        short = [m for m in self.deciding_rankings if not everything or m not in self.attributors]
        if self.removal.k[-1] > self.retrieval.top and short:
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

    def _check_rankings(self) -> None:
        """Check the rankings whose first images are removed."""
        first, *others = self.deciding_rankings
        known = self.ranking.methods
        for name in (first, *others):
            if name not in known:
                raise Fault(
                    "removal.rankings",
                    f"'{name}' is not one of the run's rankings{did_you_mean(name, known)}; add it "
                    "to ranking.also",
                )
        if first != self.ranking.method:
            raise Fault(
                "removal.rankings",
                f"begins with '{first}', and ranking.method is '{self.ranking.method}': the first "
                "must be the ranking that decides the arm targeted",
            )
        if others and self.design.kind != "randomised":
            raise Fault(
                "removal.rankings",
                f"several need the design 'randomised', found '{self.design.kind}'",
            )

    def _check_attribution(self) -> None:
        """Check what attributors are asked for, as far as settings tell."""
        from untrain.attribution.registry import (
            kind_of,
            make_attributor,
            option_keys,
            options_of,
        )

        asked = self.attributors
        given = self.attribution.options
        for name in given:
            if name not in {key for each in asked for key in option_keys(each)}:
                raise Fault(
                    f"attribution.options.{name}",
                    f"'{name}' is no attributor that ranking asks for"
                    + (did_you_mean(name, asked) if asked else "; it asks for none"),
                )
        for name in asked:
            if options := options_of(name, given):
                try:
                    make_attributor(name, **options)
                except InputError as error:
                    key = next(key for key in reversed(option_keys(name)) if key in given)
                    raise Fault(f"attribution.options.{key}", str(error)) from None
        ensembles = [name for name in asked if kind_of(name) == "ensemble"]
        if ensembles and self.attribution.models < 2:
            raise Fault(
                "attribution.models",
                f"the ranking '{ensembles[0]}' is a mean over several models, but "
                "attribution.models is 1: set it to 2 or more",
            )

    @property
    def attributors(self) -> list[str]:
        """The rankings asked for that are attributors, see `untrain.attribution.registry`."""
        from untrain.attribution.registry import is_search_ranking

        return [name for name in self.ranking.methods if not is_search_ranking(name)]

    @property
    def deciding_rankings(self) -> list[str]:
        """The rankings whose first images are removed, that of the arm targeted first."""
        return list(dict.fromkeys(self.removal.rankings or (self.ranking.method,)))

    @property
    def further_seeds(self) -> list[int]:
        """Seeds of the models beside A that attributors average over, none of the trial's."""
        from untrain.attribution.registry import kind_of

        if not any(kind_of(name) == "ensemble" for name in self.attributors):
            return []
        taken = {self.seed, *self.b_seeds}
        free = (seed for seed in count(self.seed + 2000) if seed not in taken)
        return list(islice(free, self.attribution.models - 1))

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
