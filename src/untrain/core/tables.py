"""The tables of a run folder: their columns, types, units, and which values may be missing.

A value that does not exist is missing (NA), never an empty string, a zero or −1: an effect without
a ``prompt_id`` is the mean over prompts, a measure without a ``generation`` is not of one picture.
`TABLES` names every table by its place in the run folder, without the suffix. `Table.conform`
gives a table these columns and types, and refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.errors import InputError
from untrain.core.files import write_csv, write_parquet
from untrain.core.vocabulary import Role, Verdict

if TYPE_CHECKING:  # commands that read no table need not import it
    import pandas as pd


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
    kind : Kind
        Text is the pandas type ``str``, an integer int64 (``Int64`` where it may be missing), a
        number float64, a flag bool.
    meaning : str
        What it is, with unit and range.
    nullable : bool
        Whether values may be missing; ``meaning`` says what that means.
    optional : bool
        Whether a table may lack the column.
    values : tuple of str
        All that a text may be; any if empty.
    """

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False
    optional: bool = False
    values: tuple[str, ...] = ()

    @property
    def dtype(self) -> Any:
        """The pandas type."""
        import numpy as np
        import pandas as pd

        if self.kind == Kind.TEXT:
            return pd.StringDtype(na_value=np.nan)
        if self.kind == Kind.INTEGER:
            return pd.Int64Dtype() if self.nullable else np.dtype(np.int64)
        return np.dtype(np.float64 if self.kind == Kind.NUMBER else np.bool_)

    def conform(self, values: pd.Series, where: str) -> pd.Series:
        """Return values as this column holds them.

        Raises
        ------
        InputError
            Values are missing that must not be, or are of another kind.
        """
        missing = values.isna()
        if missing.any() and not self.nullable:
            row = int(missing.to_numpy().argmax())
            raise InputError(f"{where}: {self.name} is missing in row {row}; expected a value")
        try:
            if self.kind == Kind.TEXT:
                # Through str, so that members of an enum and numbers become plain text.
                words = values.astype(object).where(missing, values.astype(object).map(str))
                found = words.where(~missing, None).astype(self.dtype)
            elif self.kind == Kind.INTEGER and missing.all():
                found = values.astype(object).where(~missing, None).astype(self.dtype)
            else:
                found = values.astype(self.dtype)
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: {self.name} holds no {self.kind} ({error})") from None
        if self.values and not found[~missing].isin(self.values).all():
            other = found[~missing & ~found.isin(self.values)].iloc[0]
            raise InputError(
                f"{where}: {self.name} is '{other}'; expected {' or '.join(self.values)}"
            )
        return found


@dataclass(frozen=True)
class Table:
    """A table of a run folder.

    Attributes
    ----------
    name : str
        Where it is in the folder, without the suffix, such as ``results/effects``.
    meaning : str
        What one row is.
    columns : tuple of Column
    others : str
        What further columns hold, all of them numbers; empty if there are none.
    suffix : str
        ``.parquet`` or ``.csv``.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    others: str = ""
    suffix: str = ".parquet"

    @property
    def names(self) -> list[str]:
        """The names of the columns that it always has."""
        return [column.name for column in self.columns if not column.optional]

    def path(self, folder: Path) -> Path:
        """Return its file in a run folder."""
        return folder / f"{self.name}{self.suffix}"

    def empty(self) -> pd.DataFrame:
        """Return the table without rows."""
        import pandas as pd

        return self.conform(pd.DataFrame(columns=self.names))

    def of(self, records: Iterable[Any]) -> pd.DataFrame:
        """Return a table of records: mappings, or tuples in the order of the columns."""
        import pandas as pd

        rows = list(records)
        if rows and isinstance(rows[0], dict):
            return self.conform(pd.DataFrame(rows))
        return self.conform(pd.DataFrame(rows, columns=self.names))

    def conform(self, table: pd.DataFrame, where: str = "") -> pd.DataFrame:
        """Return a table with these columns, in order, each of its type.

        Parameters
        ----------
        table : DataFrame
            A nullable column that it lacks is missing throughout.
        where : str
            Names the table in messages; its own name if left out.

        Raises
        ------
        InputError
            A column is absent or unknown, or values do not fit it.
        """
        where = where or f"the table {self.name}"
        known = {column.name: column for column in self.columns}
        strange = [name for name in table.columns if name not in known]
        if strange and not self.others:
            raise InputError(f"{where}: unknown column {strange[0]}; expected {', '.join(known)}")
        found: dict[str, Any] = {}
        for column in self.columns:
            if column.name in table:
                found[column.name] = column.conform(table[column.name], where)
            elif column.nullable and not column.optional:
                blank = table.index.to_series().astype(object).map(lambda _: None)
                found[column.name] = column.conform(blank, where)
            elif not column.optional:
                raise InputError(f"{where} has no column {column.name}; expected it")
        import pandas as pd

        for name in strange:
            number = Column(str(name), Kind.NUMBER, self.others, nullable=True)
            found[str(name)] = number.conform(table[name], where)
        return pd.DataFrame(found, index=table.index)

    def write(self, folder: Path, table: pd.DataFrame) -> None:
        """Write the table into a run folder, whole or not at all."""
        table = self.conform(table)
        write = write_csv if self.suffix == ".csv" else write_parquet
        write(self.path(folder), table)

    def read(self, folder: Path) -> pd.DataFrame:
        """Read the table from a run folder.

        Raises
        ------
        InputError
            It does not fit, as somebody else's table of this name may not.
        FileNotFoundError
            It is not there.
        """
        import pandas as pd

        path = self.path(folder)
        if self.suffix != ".csv":
            return self.conform(pd.read_parquet(path), str(path))
        # An id such as 007 stays one, and a prompt such as "nan" too.
        text = {column.name: str for column in self.columns if column.kind == Kind.TEXT}
        table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
        return self.conform(table, str(path))


def _text(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.TEXT, meaning, **more)


def _integer(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.INTEGER, meaning, **more)


def _number(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.NUMBER, meaning, **more)


def _flag(name: str, meaning: str, **more: Any) -> Column:
    return Column(name, Kind.FLAG, meaning, **more)


_PROMPT = _text("prompt_id", "The prompt: p00, p01, … of queries, c00, … of controls.")
_IMAGE = _text("image_id", "The training image, by its id in the catalogue.")
_GENERATION = _integer("generation", "Number of the prompt's picture, from 0.")
_MODEL = _text("model_id", "A drew the pictures; B00, B01, … are the models compared.")
_SET = _text("forget_set_id", "The forget set: arm/prompt/k10, with /d0 for its draw.")
_SETS_PROMPT = replace(
    _PROMPT, nullable=True, meaning="The prompt that it was made for; missing of a user's list."
)
_FAMILY = _text(
    "family", "The family that prompt or image is known to be of; missing if none.", nullable=True
)

PROMPTS = Table(
    "prompts",
    "a prompt",
    (
        _PROMPT,
        _text("prompt", "Its text."),
        _FAMILY,
        _text("role", "query, or control: a positive control.", values=tuple(Role)),
        _flag("seen", "Whether the text is the caption of a training image.", optional=True),
    ),
    suffix=".csv",
)
CATALOG = Table(
    "catalog",
    "a training image",
    (
        _IMAGE,
        _text("caption", "Its caption."),
        _text("content", "Hash of its content, hexadecimal: equal for identical images."),
    ),
)
CAPTIONS = Table(
    "captions",
    "a training image that the report shows",
    (_IMAGE, _text("caption", "Its caption."), replace(_FAMILY, optional=True)),
)
RETRIEVAL = Table(
    "retrieval",
    "a candidate of a prompt",
    (
        _PROMPT,
        _IMAGE,
        _integer("rank", "Place among the prompt's candidates, from 1."),
        _number("score", "The retriever's; comparable within a prompt. Higher is better."),
    ),
)
COMPARISON = Table(
    "comparison",
    "a generated picture with a candidate",
    (_PROMPT, _GENERATION, _IMAGE),
    others="A metric, in its own unit; missing where it is undefined.",
)
COPIES = Table(
    "copies",
    "a generated picture with its nearest training image",
    (
        _PROMPT,
        _GENERATION,
        _IMAGE,
        _number("distance", "1 − cosine of their features, 0 to 2."),
        _number("ratio", "The distance over that to further neighbours.", nullable=True),
        _number("p_value", "How often training images are as near to each other.", nullable=True),
        _number(
            "agreement",
            "Correlation of the two pictures laid over each other, −1 to 1; missing if not laid.",
            nullable=True,
        ),
        _number("difference", "Root mean square of their difference, 0 to 255.", nullable=True),
        _flag("near_copy", "Whether the picture is called a near copy of the image."),
    ),
)
RANKING = Table(
    "ranking",
    "a candidate's place in a ranking of one prompt's candidates",
    (
        _text("method", "The ranking."),
        _PROMPT,
        _IMAGE,
        _number("score", "Higher: removing the image makes the picture worse.", nullable=True),
        _integer("rank", "Place within method and prompt, from 1."),
    ),
)
FORGET_SETS = Table(
    "forget_sets",
    "an image of a forget set",
    (
        _SET,
        _text("arm", "How its images were chosen."),
        _SETS_PROMPT,
        _integer("draw", "Number of the draw in random arms, from 0; 0 in others."),
        _integer("k", "The nested size that this set is the last increment of, at least 1."),
        _IMAGE,
        _integer("rank", "The image's place in the ranking; missing if not ranked.", nullable=True),
        _text("reason", "Why it is in the set."),
    ),
)
MODELS = Table(
    "models",
    "a trained model",
    (
        _MODEL,
        _integer("seed", "Seed of its training; the same of paired models."),
        _text("fingerprint", "What it is known by."),
        _text("path", "Its folder, from the run folder."),
    ),
)
MODEL_A = replace(MODELS, name="model_a", meaning="the model that drew the pictures")
REMOVALS = Table("removals", "a forget set that a model was trained without", (_MODEL, _SET))
MEASURES = Table(
    "results/measures",
    "a value read off a model",
    (
        _MODEL,
        replace(
            _PROMPT, nullable=True, meaning="The prompt of the pictures; missing of held-out pairs."
        ),
        replace(_GENERATION, nullable=True, meaning="The picture; missing of a mean over pairs."),
        _text("measure", "nll, loss, dissimilarity, …; heldout_ and removed_ are of those pairs."),
        _number("value", "In the measure's unit."),
    ),
)
EFFECTS = Table(
    "results/effects",
    "an effect of removing the sets of an arm",
    (
        _text("design", "What it was estimated from."),
        _text("arm", "The arm, or a baseline: none, full, reseed, any_set."),
        _text(
            "control", "The arm it is compared with in a difference; else missing.", nullable=True
        ),
        replace(_PROMPT, nullable=True, meaning="The prompt; missing of the mean over prompts."),
        _text("measure", "The measure."),
        _number(
            "estimate", "Out minus in, in the measure's unit; missing if unknown.", nullable=True
        ),
        _number("low", "Lower limit, 95 %; missing where there is no finite one.", nullable=True),
        _number("high", "Upper limit, 95 %; missing where there is no finite one.", nullable=True),
        _number("p_value", "One-sided, against effects above zero; 0 to 1.", nullable=True),
        _integer("k", "The nested size; missing where sets of all sizes count.", nullable=True),
        _number("two_sided_p", "Two-sided, 0 to 1.", nullable=True),
        _number("null_sd", "Standard deviation of the estimate without an effect.", nullable=True),
        _integer("n_sets", "Different forget sets; missing in naive designs.", nullable=True),
    ),
)
GROUPS = replace(
    EFFECTS,
    name="results/groups",
    meaning="an effect over a group of prompts",
    columns=(
        *EFFECTS.columns,
        _text("group", "seen: prompts that are training captions; new: the others."),
    ),
)
VERDICTS = Table(
    "results/verdicts",
    "a verdict on a prompt",
    (
        _PROMPT,
        _text("verdict", "attributable, not attributable or undecided.", values=tuple(Verdict)),
        _text("reason", "A sentence with the numbers."),
        _number("p_value", "One-sided, of the prompt's own effect.", nullable=True),
        _number("p_holm", "The same adjusted over the prompts (Holm).", nullable=True),
    ),
)
SIMILARITY = Table(
    "results/similarity_results",
    "the reference cosine of a prompt's pictures before (1) and after (2): the study's table",
    (
        _text("Folder", "The prompt, as the study named folders; missing of means.", nullable=True),
        *(
            _number(f"{name}_{when}", f"{name} cosine with the reference picture, −1 to 1.")
            for when in (1, 2)
            for name in ("Mean", "Min", "Max")
        ),
    ),
    suffix=".csv",
)
SIMILARITY_NAIVE = replace(SIMILARITY, name="results/similarity_results_naive")
BANK_MODELS = Table(
    "bank/models",
    "a model of the bank",
    (
        _MODEL,
        _number("share", "Of the training images taken out, 0 to 1; 0 of the model full."),
        _integer("draw", "Which draw of this share, from 0."),
        *MODELS.columns[1:],
    ),
)
BANK_OUTCOMES = Table(
    "bank/outcomes",
    "a query measured in a model of the bank",
    (
        _MODEL,
        _PROMPT,
        _GENERATION,
        _text("measure", "The primary measure of the run: nll, loss or dissimilarity."),
        _number("value", "In the measure's unit; higher is worse."),
    ),
)

TABLES = {
    table.name: table
    for table in (
        *(PROMPTS, CATALOG, CAPTIONS, RETRIEVAL, COMPARISON, COPIES, RANKING, FORGET_SETS),
        *(MODEL_A, MODELS, REMOVALS, MEASURES, EFFECTS, GROUPS, VERDICTS),
        *(SIMILARITY, SIMILARITY_NAIVE, BANK_MODELS, BANK_OUTCOMES),
    )
}
"""Every table by name."""
