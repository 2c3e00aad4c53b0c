"""What a ladder's outcomes say, kept with the results of the run."""

from __future__ import annotations

import pandas as pd

from untrain.banks.ladder.ladder import Ladder
from untrain.core.files import write_csv, write_json
from untrain.core.schema import records
from untrain.core.tables import FIDELITY
from untrain.evaluation.fidelity import fidelity_table
from untrain.runs.run import Run


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
