"""What a ladder's outcomes say, kept with the results of the run."""

from __future__ import annotations

import pandas as pd

from untrain.banks.ladder.ladder import Ladder
from untrain.core.notes import Note
from untrain.core.vocabulary import Group
from untrain.runs.fidelity import ladder_result
from untrain.runs.run import Run


def own_queries(found: Ladder) -> pd.DataFrame:
    """Return the outcomes of the pictures whose prompt a set was made for; sets without one none.

    The group ``query`` is of all pictures of the run, of which most have little to do with a set.
    """
    prompts = found.sets.dropna(subset=["prompt_id"]).drop_duplicates("set_id")
    own = found.outcomes["set_id"].map(prompts.set_index("set_id")["prompt_id"])
    of_item = found.outcomes["item"].str.partition("#")[0]
    return found.outcomes[(found.outcomes["group"] == Group.QUERY) & (of_item == own)]


def keep_fidelity(run: Run, found: Ladder) -> pd.DataFrame:
    """Write ``results/fidelity`` (Parquet, CSV, JSON, Markdown), its tables and its figure.

    Returns
    -------
    DataFrame
        `untrain.core.tables.FIDELITY`.

    Raises
    ------
    InputError
        No method could be done.
    """
    from untrain.report.figures.unlearning import save_unlearning

    notes = tuple(
        Note(
            "ladder-skipped",
            f"{each['method']} could not be done at {_shares(each['budgets'])}: {each['because']}",
            (each["method"],),
        )
        for each in found.skipped
    )
    result = ladder_result(found.outcomes, run.config.name, run.unit, len(run.catalog), notes)
    result.save(run.folder)
    save_unlearning(run.folder)
    return result.table


def _shares(budgets: list[float]) -> str:
    return ", ".join(f"{budget:.2%}" for budget in budgets)
