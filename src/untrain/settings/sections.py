"""The sections of an experiment file: what each may say, its defaults, and what is refused."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from untrain.core.errors import InputError
from untrain.core.vocabulary import arm_of_ranking
from untrain.generators.recipes import Presets
from untrain.generators.registry import presets_of
from untrain.settings.fields import (
    Arm,
    Count,
    EncoderName,
    EngineName,
    Fault,
    Format,
    GeneratorName,
    Named,
    Number,
    Place,
    RankingName,
    Reservation,
    Retriever,
    Section,
    Size,
    Sizes,
    TrackerName,
    Whole,
)

PRESET_WORDS = (
    "of dalle: micro, tiny (the default), small, photo or seed; of diffusion: diffusion-tiny (the "
    "default), -micro, -small or -latent"
)


class Subset(Section):
    """A seeded part of the catalogue that includes the text neighbours of every prompt."""

    size: Size = Field(ge=1, description="number of images", examples=[5000])
    neighbours: Size = Field(100, ge=0, description="nearest captions of each prompt to keep")
    neighbours_of: Place | None = Field(None, description="file of prompts, if not the run's own")


class Plant(Section):
    """Odd pictures with odd captions added to the catalogue: a positive control."""

    items: Count = Field(4, ge=1, description="number of different pictures")
    copies: Count = Field(12, ge=1, description="slightly varied copies of each")


class Data(Section):
    """The image–caption data set."""

    format: Format = Field(
        "rendered",
        description="rendered, folder, fashion, csv, coco, parquet, webdataset, imagefolder or "
        "datasets",
    )
    path: Place | None = Field(None, description="folder, file or shards-{000..127}.tar")
    hub: str | None = Field(None, description="datasets: an id on the Hugging Face hub, no path")
    split: str | None = Field(None, description="datasets, imagefolder: such as train")
    id: str | None = Field(None, description="column of the ids; default: as the format has it")
    image: str | None = Field(
        None, description="column of the images; default: the one with images"
    )
    caption: str | None = Field(None, description="a column, or '{brand} {colour} {article}'")
    captions: Literal["first", "all", "join"] | None = Field(
        None, description="where an image has several: the first, a pair each, or all joined"
    )
    empty_caption: str | None = Field(
        None,
        description="replaces an empty caption, in a folder a missing one, too; default: such "
        "pairs are skipped",
    )
    where: dict[str, Any] | None = Field(
        None, description="column: value, [values] or {min, max, not}; default: every row"
    )
    resize: Literal["pad", "crop", "stretch"] = Field(
        "pad", description="how pictures of other shapes are fitted to the model's size"
    )
    exclude: Place | tuple[Place, ...] | None = Field(
        None, description="opt-out lists: files of ids, hashes or URLs (txt, csv, parquet)"
    )
    respect: tuple[Reservation, ...] = Field(
        (), description="reservations in the images that are honoured: [c2pa, xmp]"
    )
    options: dict[str, Any] = Field({}, description="more of the format, e.g. root: images")
    families: Count = Field(200, ge=1, description="rendered only: number of families")
    family_size: Count = Field(12, ge=1, description="rendered only: pictures per family")
    seed: Whole = Field(0, description="seed of what is rendered, split and sampled")
    holdout: Number = Field(0.04, ge=0, lt=1, description="share of images that no model sees")
    keep_in: Place | tuple[str, ...] | None = Field(
        None, description="a file of image ids, or the ids, that are never held out nor left out"
    )
    subset: Subset | None = Field(None, description="a part of the data; all of it unless given")
    plant: Plant | None = Field(None, description="odd pictures added; none unless given")
    strict: bool = Field(False, description="one bad image is an error instead of being skipped")

    @model_validator(mode="after")
    def _check(self) -> Self:
        from untrain.catalogs.choice import Choice
        from untrain.catalogs.opening import takes_path

        for name in self.options:
            if name in {*type(self).model_fields, "fresh"}:
                raise Fault(
                    f"data.options.{name}",
                    f"'{name}' is no option of a format: "
                    + ("leave it out" if name == "fresh" else f"write it as data.{name}"),
                )
        for name in ("caption", "where"):
            try:
                Choice(**{name: getattr(self, name)})
            except InputError as error:
                raise Fault(f"data.{name}", str(error)) from None
        if takes_path(self.format) and (self.path is None) == (self.hub is None):
            missing = "is missing" if self.path is None else "and data.hub are both given"
            raise Fault("data.path", f"{missing}; the format '{self.format}' needs it")
        return self

    def chosen(self) -> dict[str, Any]:
        """Return what `untrain.catalogs.load_catalog` takes beside the format and ``strict``."""
        names = ("path", "hub", "split", "id", "image", "caption", "captions", "empty_caption")
        others = ("where", "resize", "exclude", "respect")
        given = {name: getattr(self, name) for name in (*names, *others)}
        return {k: v for k, v in given.items() if v not in (None, ())} | self.options


class Prompts(Section):
    """What is drawn: a file of prompts, a list, or prompts made for rendered families."""

    file: Place | None = Field(None, description="one prompt per line")
    texts: tuple[str, ...] = Field((), description="the prompts themselves")
    families: Count = Field(0, ge=0, description="rendered only: prompts for this many families")
    controls: Count = Field(
        0, ge=0, description="prompts for further families (or planted items): positive controls"
    )


class Given(Section):
    """Finished pictures with their prompts, of a model that cannot be trained again."""

    path: Place = Field(description="a folder of <id>.png beside <id>.txt, the prompt")
    format: Format = Field("folder", description="any catalogue format that needs only a path")


class GeneratorConfig(Named):
    """The model: a built-in one by its preset, or a class of your own with its options."""

    name: GeneratorName = Field("dalle", description="or module:Class, file.py:Class of your own")
    preset: str | None = Field(None, description=PRESET_WORDS)
    settings: dict[str, Any] = Field({}, description="settings of the preset to change")
    options: dict[str, Any] = Field({}, description="arguments of a class of your own")
    precision: Literal["float32", "bfloat16", "auto"] | None = Field(
        None,
        description="what training computes in; default: float32 on a CPU, bfloat16 on a GPU; "
        "auto measures both",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_preset(cls, values: Any) -> Any:
        """Take the first preset of a generator that has any, where none is named."""
        values = {"name": values} if isinstance(values, str) else values
        if not isinstance(values, dict) or values.get("preset") is not None:
            return values
        known = presets_of(values.get("name", "dalle"))
        return {**values, "preset": known.default} if known else values

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = presets_of(self.name)
        if known is None and (self.preset is not None or self.settings):
            key = "generator.settings" if self.preset is None else "generator.preset"
            raise Fault(key, f"the generator '{self.name}' has no presets: use generator.options")
        if known:
            _check_preset(known, self.preset or known.default, self.settings)
        return self

    def arguments(self) -> dict[str, Any]:
        """Return what the generator is made with."""
        if self.preset is None:
            return dict(self.options)
        return {"preset": self.preset, "settings": self.settings, **self.options}


def _check_preset(known: Presets, preset: str, settings: dict[str, Any]) -> None:
    for key, changes in (("preset", {}), ("settings", settings)):
        try:
            known.make(preset, **changes)
        except InputError as error:
            raise Fault(f"generator.{key}", str(error)) from None


class EncoderConfig(Named):
    """Features: 'layout' needs no weights; 'transformers' takes a hub id or local folder."""

    name: EncoderName = Field("layout", description="or a hub id, a folder, module:function")
    options: dict[str, Any] = Field({}, description="e.g. path: google/mobilenet_v2_1.0_224")


class EngineConfig(Named):
    """Where models are trained: no result depends on it, and no stage or model is known by it."""

    name: EngineName = Field("local", description="local, or ray: pip install untrain[ray]")
    address: str | None = Field(None, description="of the Ray cluster; default: this machine")


class TrackingConfig(Named):
    """Where losses, pictures and results are sent, too; nothing of the run depends on it."""

    name: TrackerName = Field(
        "tensorboard", description="tensorboard, mlflow or wandb: pip install it by this name"
    )
    options: dict[str, Any] = Field({}, description="of the tool, e.g. mode: offline for wandb")


class Retrieval(Section):
    """Stage one of the search: prompt → candidates."""

    method: Retriever = Field("tfidf", description="by text, by pictures, or both: hybrid")
    top: Size = Field(100, ge=1, description="candidates per prompt")


class Ranking(Section):
    """Stage two of the search: images → scores; the first method decides what is removed.

    A method is a ranking of the candidates (``fusion``, ``metric:<name>``,
    ``fitted:<weights.json>``, ``scores:<file.parquet>``) or any attributor, such as ``bm25``.
    """

    method: RankingName = Field("fusion", description="decides the targeted forget sets")
    also: tuple[RankingName, ...] = Field(("study",), description="further rankings to report")
    scope: Literal["catalogue", "candidates"] = Field(
        "catalogue",
        description="what attributors rank: the whole catalogue, or the candidates of retrieval; "
        "rankings of metrics always take the candidates",
    )

    @property
    def methods(self) -> list[str]:
        """The rankings asked for, each once, the one that decides first."""
        return list(dict.fromkeys([self.method, *self.also]))


class Attribution(Section):
    """Attributors that are used as rankings: their options, and models beside A."""

    models: Count = Field(
        1, ge=1, description="that ensemble:… averages over: A, and others of further seeds"
    )
    options: dict[str, dict[str, Any]] = Field(
        {}, description="of attributors, by name: {dtrak: {damping: 0.1}}"
    )


class Copies(Section):
    """The copy test: are generated pictures nearer to training images than real ones are?"""

    encoder: EncoderConfig = Field(EncoderConfig(), description="features of the whole catalogue")
    alpha: Number = Field(0.01, gt=0, lt=0.5, description="share of real pictures flagged in error")


class Removal(Section):
    """Which forget sets there are."""

    arms: tuple[Arm, ...] = Field(
        ("targeted", "random_uniform", "random_candidate"),
        min_length=1,
        description="which sets each prompt gets, and the random ones they are compared with",
    )
    rankings: tuple[RankingName, ...] | None = Field(
        None,
        min_length=1,
        description="rankings whose first images are removed, each an arm of its own beside "
        "targeted: [fusion, dtrak]; default: ranking.method alone",
    )
    k: Sizes = Field((10,), min_length=1, description="nested sizes, primary first")
    draws: Count = Field(1, ge=1, description="draws of each random arm")
    together: bool = Field(False, description="remove the sets of all prompts as one")
    ids: Place | None = Field(None, description="a file of image ids: one more forget set")
    duplicates: Literal["near", "exact"] = Field(
        "near", description="which copies of an image are removed with it"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "ids" in self.arms and self.ids is None:
            raise Fault("removal.arms", "the arm 'ids' needs removal.ids, a file of image ids")
        if len(set(self.further_arms)) < len(set(self.rankings or (1,))) - 1:
            raise Fault(
                "removal.rankings",
                "two of them would have the same arm, as files of the same name have: rename one",
            )
        return self

    @property
    def further_arms_of(self) -> dict[str, str]:
        """The arm of each ranking after the first, whose arm is ``targeted``."""
        first, *others = self.rankings or ("",)
        return {name: arm_of_ranking(name, first) for name in others if name != first}

    @property
    def further_arms(self) -> list[str]:
        """The arms of the rankings after the first."""
        return list(self.further_arms_of.values())


class Design(Section):
    """How the effect of a removal is measured."""

    kind: Literal["randomised", "before-after"] = Field(
        "randomised", description="a trial of many models, or one model before and one after"
    )
    models: Count = Field(
        10, ge=4, multiple_of=2, description="models of the trial; an even number"
    )
    paired: bool = Field(True, description="models share initial weights and data order: one seed")


class Evaluation(Section):
    """Statistics."""

    draws: Count = Field(2000, ge=100, description="re-drawn assignments of the randomisation test")
    alpha: Number = Field(0.05, gt=0, lt=0.5, description="level of the verdicts")
    margin: Number | None = Field(
        None, gt=0, description="equivalence margin; default: 0.1 bits/token, 0.02 of similarity"
    )
