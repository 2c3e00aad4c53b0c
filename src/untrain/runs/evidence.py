"""What attributors may look at, of a run: its catalogue, its queries, its fitted model A."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from untrain.attribution.base import Evidence
from untrain.attribution.whole_comparison import WholeComparison, common_size, compare_all
from untrain.core.bank_tables import BANK_MODELS
from untrain.core.errors import InputError, did_you_mean
from untrain.core.tables import MODEL_A, MODELS
from untrain.core.vocabulary import SAMPLER
from untrain.generators.base import Generator
from untrain.generators.queries import Queries
from untrain.runs.run import Run
from untrain.training.base import ModelRequest

if TYPE_CHECKING:
    from untrain.attribution.gradients.store import Elsewhere

CANDIDATES = 5000
"""Images that a prompt's pictures are compared with by every metric, unless another number is
asked for."""


def fitted_model(run: Run, named: str = SAMPLER) -> Generator:
    """Return a model of a run, as it was trained.

    Parameters
    ----------
    run : Run
        Done up to ``fit`` at least.
    named : str
        A, one of the compared models or of the bank's by its id, or the folder of a saved model.

    Raises
    ------
    InputError
        The pictures were given, nothing is fitted yet, or there is no such model.
    """
    if run.given_pictures:
        raise InputError(
            f"the pictures of {run.folder} were given (generations.path): there is no fitted model"
        )
    run.trainer.prepare()
    model: Generator = run.trainer.load(model_path(run, named))
    return model


def further_models(run: Run) -> tuple[Generator, ...]:
    """Return the models beside A that ``attribution.models`` asks for, trained if not there."""
    seeds = run.config.further_seeds
    if not seeds:
        return ()
    requests = [ModelRequest(f"A{number}", seed) for number, seed in enumerate(seeds, 2)]
    found = run.trainer.train(requests, f"{len(seeds)} further models", paired=False)
    return tuple(run.trainer.load(path) for path in found["path"])


def has_fitted_model(run: Run) -> bool:
    """Tell whether the model that drew a run's pictures is there, without opening anything."""
    if not MODEL_A.path(run.folder).is_file():
        return False
    return run.path(str(MODEL_A.read(run.folder)["path"].iloc[0])).is_dir()


def model_path(run: Run, named: str = SAMPLER) -> str:
    """Return the folder of a model, from the run folder; see `fitted_model`."""
    known: dict[str, str] = {}
    for table in (BANK_MODELS, MODELS, MODEL_A):
        if table.path(run.folder).is_file():
            found = table.read(run.folder)
            known |= dict(zip(found["model_id"], found["path"], strict=True))
    path = known.get(named, named)
    if (run.folder / path).is_dir():
        return path
    if named not in known and Path(named).is_dir():
        return str(Path(named).resolve())
    if named == SAMPLER:
        raise InputError(
            f"{run.folder} has no fitted model: run the experiment first (`untrain run FILE`)"
        )
    raise InputError(
        f"{named} is neither the folder of a saved model nor a model of {run.folder}"
        f"{did_you_mean(named, known) if known else ''}"
    )


def run_evidence(
    run: Run,
    queries: Queries,
    prompts: pd.DataFrame | None = None,
    candidates: int = CANDIDATES,
    model: Generator | None = None,
    checkpoints: bool = False,
) -> Evidence:
    """Return what attributors may look at, for queries of a run or other pictures.

    Parameters
    ----------
    run : Run
    queries : Queries
    prompts : DataFrame, optional
        Columns prompt_id, prompt, family, role; those of the run if left out.
    candidates : int
        Images that a prompt's pictures are compared with; the others have no score by likeness.
    model : Generator, optional
        As `fitted_model` returns it, for attributors that need one.
    checkpoints : bool
        Whether A may be trained once more for those that need checkpoints of that, if the cache has
        none.
    """

    def compare() -> WholeComparison:
        size = common_size(run.catalog, queries, run.config.retrieval.top)
        return compare_all(run.catalog, run.encoder, queries, candidates, size)

    known = run.prompts if prompts is None else prompts
    seed = run.config.seed
    record = None
    if model is not None and (checkpoints or run.trainer.has_checkpoints(seed)):
        record = partial(run.trainer.checkpoints, seed)
    elsewhere = _elsewhere(run) if model is not None else None
    return Evidence(
        run.catalog, queries, known, compare, model, seed, record=record, elsewhere=elsewhere
    )


def _elsewhere(run: Run) -> Elsewhere | None:
    """Return what computes gradients where the run's engine is a cluster.

    None where it is not, or where only this process has the generator.
    """
    engine, trainer = run.config.engine, run.trainer
    if engine.name != "ray" or trainer.spec.address is None:
        return None
    from untrain.attribution.gradients.on_ray import OnRay

    spec = trainer.spec.settled(trainer.generator)
    return OnRay(spec, trainer.shared, trainer.reopen, engine.address, workers=run.config.workers)


def asked_prompts(queries: Queries, known: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the prompts of queries as `Evidence` takes them, families where they are known."""
    rows = [(prompt_id, text, "query") for prompt_id, text in queries.texts.items()]
    table = pd.DataFrame(rows, columns=["prompt_id", "prompt", "role"])
    if known is None:
        return table.assign(family=None)
    return table.merge(known[["prompt_id", "family"]], how="left", on="prompt_id")
