"""What a ladder's outcomes say, kept with the results of the run."""

from __future__ import annotations

import pandas as pd

from untrain.banks.ladder.ladder import Ladder
from untrain.core.files import write_csv, write_json
from untrain.core.schema import records
from untrain.core.tables import FIDELITY
from untrain.core.vocabulary import Group
from untrain.evaluation.fidelity import fidelity_table
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
    """Write ``results/fidelity`` as Parquet, CSV and JSON; return the table.

    Raises
    ------
    InputError
        No method could be done.
    """
    table = fidelity_table(found.outcomes)
    FIDELITY.write(run.folder, table)
    write_csv(run.path("results", "fidelity.csv"), table)
    write_json(
        run.path("results", "fidelity.json"),
        {"unit": run.unit, "skipped": list(found.skipped), "rows": records(table)},
    )
    return table
