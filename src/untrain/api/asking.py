"""Asking in Python which training images pictures stand on, of a run or a fitted generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.api.attribution import Attribution
from untrain.core.errors import InputError
from untrain.core.vocabulary import ATTRIBUTOR

if TYPE_CHECKING:
    from untrain.api.given import OfRun, Picture, Pictures
    from untrain.attribution.base import Attributor, Evidence
    from untrain.attribution.calibration import Calibration
    from untrain.attribution.side_by_side import SideBySide
    from untrain.catalogs.base import Catalog
    from untrain.core.notes import Note
    from untrain.encoders import Encoder
    from untrain.generators.base import Generator
    from untrain.generators.queries import Queries
    from untrain.search.trace import Trace
    from untrain.settings.sections import EngineConfig

    Asked = Queries | Pictures
    Method = str | Attributor | Sequence[str | Attributor]

MODEL = {"model", "gradients", "models", "checkpoints"}
"""Of `untrain.attribution.base.Need`, what takes a fitted model."""

COMPARED_SIZE = 100  # training images that the size of comparisons is taken from, as a run has it


def attribute(
    model: Generator | OfRun | str | Path,
    catalog: Catalog | None = None,
    queries: Asked | None = None,
    method: Method = ATTRIBUTOR,
    *,
    prompts: str | Sequence[str] | None = None,
    top: int = 10,
    calibration: Calibration | str | Path | None = None,
    encoder: Encoder | None = None,
    candidates: int = 5000,
    named: str | Sequence[str] = "A",
    seed: int = 0,
    engine: str | None = None,
    address: str | None = None,
) -> Attribution:
    """Return which training images pictures stand on.

    Parameters
    ----------
    model : Generator, Experiment, Result, str or Path
        A fitted generator; or an experiment, a result or a run folder, whose model A is asked.
    catalog : Catalog
        The training images; of a run its own.
    queries : Queries, picture, mapping or sequence, optional
        Pictures, which may be files, arrays (uint8, height × width × 3) or Pillow images, and get
        the model's size; or `Queries`. Left out: those that a run's model A drew.
    method : str, Attributor, or several
        Names of the registry, such as ``dtrak``, ``ekfac`` or ``fusion``, or attributors of your
        own. Further ones are shown beside the first.
    prompts : str or sequence of str, optional
        With pictures: what they were drawn for, one text for all or one for each. With a run and
        no pictures: ids or texts of the queries to ask about; all of them if left out.
    top : int
        How many images the table has of each query; 0 for all.
    calibration : Calibration or its file, optional
        Turns scores into effects with intervals (`untrain calibrate`).
    encoder : Encoder, optional
        For methods by likeness; of a run its own, else `LayoutEncoder`.
    candidates : int
        Images that methods by likeness compare with each query; the others get no score of them.
    named : str or sequence of str
        With a run, which model is asked: A, one of those compared, or the folder of a saved one;
        further ones serve ``ensemble:METHOD``.
    seed : int
        Of methods that draw at random; of a run its own.
    engine, address : str, optional
        With a run, where gradients of its training images are computed, as the run's own setting
        ``engine`` says it: ``"local"``, or ``"ray"`` with the address of the cluster.

    Returns
    -------
    Attribution

    Raises
    ------
    InputError
        A picture cannot be read, a method is unknown or lacks what it needs, such as gradients, or
        a model does not fit its catalogue.

    Examples
    --------
    >>> import untrain
    >>> found = untrain.attribute("runs/micro", method="fusion", prompts="p00", top=3)
    >>> found.table["rank"].tolist()
    [1, 2, 3]
    """
    from untrain.api.given import run_folder
    from untrain.attribution.base import Attributor
    from untrain.generators.base import Generator

    methods = [method] if isinstance(method, (str, Attributor)) else list(method)
    wanted = _Wanted(methods, top, _opened(calibration), candidates)
    texts = [prompts] if isinstance(prompts, str) else list(prompts or ())
    if isinstance(model, Generator):
        if engine or address:
            raise InputError("an engine needs a run, which says how nodes make its generator")
        if catalog is None or queries is None:
            raise InputError("a generator needs its catalogue and queries: give both, or a run")
        return _of_generator(model, catalog, queries, texts, wanted, encoder, seed)
    if catalog is not None:
        raise InputError("a run has its own catalogue: leave `catalog` out")
    names = [named] if isinstance(named, str) else list(named)
    return _of_run(run_folder(model), queries, texts, wanted, names, _engine(engine, address))


def beside_trace(
    found: Trace,
    catalog: Catalog,
    run: Path,
    pictures: Mapping[str, Picture],
    prompt: str | Mapping[str, str] | None,
    method: str | None,
    top: int,
    calibration: Calibration | str | Path | None = None,
) -> tuple[SideBySide | None, tuple[Note, ...]]:
    """Return the influence of a run's training images beside what a trace of pictures found.

    Parameters
    ----------
    found : Trace
        Of the pictures, on the run's training images.
    catalog : Catalog
        Those images.
    run : Path
        A run folder.
    pictures : mapping
        By the names that they have in the trace.
    prompt : str or mapping of str to str, optional
        What all of them were drawn for, or each, by its name.
    method : str, optional
        How influence is computed. Left out, the default; then a run that cannot be asked, as one
        that has no model with gradients, gives a note instead of an error.
    top : int
        Images that each shows.
    calibration : Calibration or its file, optional
        Of the method: turns its scores into effects.
    """
    from untrain.attribution.side_by_side import SideBySide
    from untrain.core.notes import Note
    from untrain.runs.find import find_run, has_model

    try:
        if not has_model(find_run(run)):
            raise InputError(f"{run} has no fitted model")
        texts = [prompt] if isinstance(prompt, str) else None
        if isinstance(prompt, Mapping) and set(pictures) <= set(prompt):
            texts = [prompt[name] for name in pictures]
        influence = attribute(
            run,
            queries=pictures,
            method=method or ATTRIBUTOR,
            prompts=texts,
            top=top,
            calibration=calibration,
        ).found
    except InputError as error:
        if method is not None:
            raise
        return None, (Note("influence-left-out", f"influence is left out: {error}"),)
    shown = {*found.table["image_id"], *influence.table["image_id"]}
    captions = {image_id: catalog.captions[catalog.index[image_id]] for image_id in shown}
    return SideBySide(found, influence, captions, top), influence.notes


@dataclass(frozen=True)
class _Wanted:
    """What is to be said of the queries."""

    methods: Sequence[str | Attributor]
    top: int
    calibration: Calibration | None
    candidates: int

    def of(
        self, evidence: Evidence, unit: str, notes: Sequence[Note], recipe: str, key: str = ""
    ) -> Attribution:
        from untrain.attribution.attribute import attribute_all

        if self.calibration is not None:
            told = self.calibration.check(unit, recipe, evidence.catalog.fingerprint, key)
            notes = [*notes, *told]
        found = attribute_all(evidence, self.methods, self.top, unit, self.calibration)
        found = replace(found, notes=tuple(dict.fromkeys([*notes, *found.notes])))
        return Attribution(found, evidence.queries, evidence.catalog)

    def needs(self) -> set[str]:
        """Return what the methods need beyond captions, images and queries."""
        from untrain.attribution.registry import make_attributor

        opened = [make_attributor(m) if isinstance(m, str) else m for m in self.methods]
        return {need for attributor in opened for need in attributor.needs}


def _of_run(
    given: Path,
    queries: Asked | None,
    texts: Sequence[str],
    wanted: _Wanted,
    named: Sequence[str],
    engine: EngineConfig | None,
) -> Attribution:
    from untrain.api.given import by_name
    from untrain.attribution.calibration import recipe_key
    from untrain.catalogs.pictures import pixels_of
    from untrain.generators.base import unit_of
    from untrain.generators.queries import Queries
    from untrain.runs.asked import asked_of_run
    from untrain.runs.evidence import asked_prompts, fitted_model, run_evidence
    from untrain.runs.find import find_run
    from untrain.runs.queries import choose_queries, queries_key, read_queries
    from untrain.runs.run import open_run

    run = open_run(find_run(given))
    if engine is not None:
        run = replace(run, config=run.config.model_copy(update={"engine": engine}))
        run.trainer.engine.check()
    own, needs = queries is None, wanted.needs()
    asks_model = not own or bool(MODEL & needs)  # loading one takes a while
    models = [fitted_model(run, each) for each in named] if asks_model else []
    model = models[0] if models else None
    notes: tuple[Note, ...] = ()
    if queries is None:
        chosen = choose_queries(read_queries(run.folder), texts)
    elif isinstance(queries, Queries):
        chosen = queries
    else:
        assert model is not None
        # Of a file of the run's own the model's sample and prompt are known: by its path.
        pictures = {
            name: each if isinstance(each, (str, Path)) else pixels_of(each)
            for name, each in by_name(queries).items()
        }
        chosen, notes = asked_of_run(run, model, pictures, _texts(pictures, texts))
    evidence = run_evidence(
        run,
        chosen,
        asked_prompts(chosen, run.prompts if own else None),
        wanted.candidates,
        model,
        checkpoints="checkpoints" in needs,
    )
    evidence = replace(evidence, models=models[1:])
    recipe = recipe_key(run.generator)
    key = queries_key(run.folder) if wanted.calibration else ""
    return wanted.of(evidence, unit_of(run.generator), notes, recipe, key)


def _of_generator(
    model: Generator,
    catalog: Catalog,
    queries: Asked,
    texts: Sequence[str],
    wanted: _Wanted,
    encoder: Encoder | None,
    seed: int,
) -> Attribution:
    from untrain.api.given import named_pictures
    from untrain.attribution.base import Evidence
    from untrain.attribution.calibration import recipe_key
    from untrain.attribution.pictures import picture_queries
    from untrain.attribution.whole_comparison import WholeComparison, common_size, compare_all
    from untrain.encoders.layout import LayoutEncoder
    from untrain.generators.base import unit_of
    from untrain.generators.queries import Queries
    from untrain.runs.evidence import asked_prompts

    notes: tuple[Note, ...] = ()
    if isinstance(queries, Queries):
        asked = queries
    else:
        named = named_pictures(queries)
        asked, notes = picture_queries(model, named, _texts(named, texts), catalog.resize)

    def compare() -> WholeComparison:
        used = encoder or LayoutEncoder()
        size = common_size(catalog, asked, COMPARED_SIZE)
        return compare_all(catalog, used, asked, wanted.candidates, size)

    evidence = Evidence(catalog, asked, asked_prompts(asked), compare, model, seed=seed)
    return wanted.of(evidence, unit_of(model), notes, recipe_key(model))


def _engine(name: str | None, address: str | None) -> EngineConfig | None:
    """Return the engine that was asked for; an address without one means Ray."""
    from untrain.settings.sections import EngineConfig
    from untrain.training.engines import ENGINES

    if not (name or address):
        return None
    name = name or "ray"
    ENGINES.check(name)
    if address and name == "local":
        raise InputError(f"the address '{address}' is of no use to the engine 'local'")
    return EngineConfig(name=name, address=address)


def _opened(calibration: Calibration | str | Path | None) -> Calibration | None:
    from untrain.attribution.calibration import Calibration

    if calibration is None or isinstance(calibration, Calibration):
        return calibration
    return Calibration.load(Path(calibration))


def _texts(pictures: Mapping[str, Any], texts: Sequence[str]) -> dict[str, str]:
    """Return the text of each picture by its name: one for all, or one for each."""
    if len(texts) == 1:
        return dict.fromkeys(pictures, texts[0])
    if texts and len(texts) != len(pictures):
        raise InputError(
            f"{len(texts)} prompts were given for {len(pictures)} pictures; expected one for all, "
            "or one for each"
        )
    return dict(zip(pictures, texts, strict=False))
