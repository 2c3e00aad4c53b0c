"""Rankings by name: what names there are, what is behind them, and ranking by one.

Importing this loads no table library: settings are checked with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from untrain.core.errors import InputError
from untrain.core.registry import Registry
from untrain.search.compare.metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd

    from untrain.search.rank.metric_table import Ranked
    from untrain.search.rank.rules import Ranking

RANKINGS: Registry[Ranking] = Registry(
    "ranking",
    {
        "fusion": "untrain.search.rank.rules:FUSION",
        "study": "untrain.search.rank.rules:STUDY",
        "zscore": "untrain.search.rank.rules:ZSCORE",
        "rrf": "untrain.search.rank.rules:RRF",
        "text": "untrain.search.rank.rules:TEXT",
        "pixel_cosine": "untrain.search.rank.rules:PIXEL_COSINE",
    },
)
OPEN = {
    "metric": "a metric, such as metric:feature_cosine",
    "fitted": "weights of `untrain weights`, such as fitted:weights.json",
    "scores": "scores of your own or another library's, such as scores:file.parquet",
}


class Method(NamedTuple):
    """A ranking's name taken apart: ``kind`` is a key of `OPEN`, or "" for one of `RANKINGS`."""

    kind: str
    argument: str

    @property
    def file(self) -> Path | None:
        """The file that the ranking is read from, if any."""
        return Path(self.argument) if self.kind in ("fitted", "scores") else None

    def beside(self, folder: Path) -> str:
        """Return the name again, a relative file as seen from ``folder``."""
        argument = self.argument if self.file is None else str(folder / self.file.expanduser())
        return f"{self.kind}:{argument}" if self.kind else argument


def parse_method(name: str) -> Method:
    """Take a ranking's name apart: ``fusion``, ``metric:…``, ``fitted:FILE`` or ``scores:FILE``.

    Raises
    ------
    InputError
        If the name or the metric is unknown, or nothing follows the colon.
    """
    kind, colon, argument = name.partition(":")
    if not colon:
        RANKINGS.check(name)
        return Method("", name)
    if kind not in OPEN or not argument:
        raise InputError(
            f"unknown ranking '{name}'; expected one of {', '.join(RANKINGS)}, or "
            + ", or ".join(OPEN.values())
        )
    if kind == "metric":
        METRICS.check(argument)
    return Method(kind, argument)


def check_method(name: str) -> None:
    """Raise what can be known to be wrong with a ranking before anything is compared.

    Raises
    ------
    InputError
        As `parse_method`; or if the file is absent or, for fitted weights, not to be read.
    """
    method = parse_method(name)
    if method.file is not None and not method.file.is_file():
        inside = ": name the file in it" if method.file.is_dir() else ""
        raise InputError(f"the ranking '{name}' needs {method.file}, which is not a file{inside}")
    if method.kind == "fitted":
        open_ranking(name)


def open_ranking(name: str) -> Ranking:
    """Return the rule behind a name.

    Raises
    ------
    InputError
        As `check_method`; or if it is ``scores:FILE``, which follows no rule on metrics.
    """
    kind, argument = parse_method(name)
    if kind == "metric":
        from untrain.search.rank.rules import one_metric

        remedy = "it is undefined for these pictures or was not measured: use another"
        return one_metric(name, argument, remedy)
    if kind == "fitted":
        from untrain.search.rank.weights import Weights

        return Weights.load(Path(argument)).ranking(name)
    if kind == "scores":
        raise InputError(f"the ranking '{name}' is a table of scores, made of no metrics")
    return RANKINGS[name]


def metrics_of(name: str) -> tuple[str, ...]:
    """Return the metrics that a ranking's score is made of.

    None for ``scores:FILE``, and for ``fitted:FILE`` once the file is gone.

    Examples
    --------
    >>> metrics_of("metric:pixel_mse")
    ('pixel_mse',)
    """
    method = parse_method(name)
    if method.kind == "scores" or (method.file is not None and not method.file.is_file()):
        return ()
    return open_ranking(name).metrics


def rank(
    method: str,
    comparison: pd.DataFrame,
    retrieval: pd.DataFrame | None = None,
    prompts: pd.DataFrame | None = None,
    ids: Sequence[str] = (),
) -> Ranked:
    """Rank the candidates of every prompt by a method.

    Parameters
    ----------
    method : str
        One of `RANKINGS`, ``metric:<column>``, ``fitted:<file>``
        (`untrain.search.rank.weights`) or ``scores:<file>`` (`untrain.search.rank.scores`).
    comparison : DataFrame
        As `untrain.search.compare.comparison.compare` returns it, for any number of prompts.
    retrieval : DataFrame, optional
        As the table of `untrain.search.retrieve.candidates.retrieve`; its score stands in where
        the comparison has no ``text_tfidf``.
    prompts : DataFrame, optional
        Columns prompt_id and prompt, and
    ids : sequence of str
        all images of the catalogue; both are only for ``scores:``.

    Returns
    -------
    Ranked
        The table, and notes on what was left out because it is undefined.

    Raises
    ------
    InputError
        The method is unknown or cannot be read, or undefined for a prompt.
    """
    parsed = parse_method(method)
    if parsed.kind == "scores":
        from untrain.search.rank.scores import read_scores

        known = prompts if prompts is not None else comparison[["prompt_id"]].drop_duplicates()
        return read_scores(Path(parsed.argument), known, ids, method)
    return open_ranking(method).rank(comparison, retrieval)
