"""Figure of how the models' losses fell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from untrain.core.files import read_json, read_parquet
from untrain.core.vocabulary import SAMPLER
from untrain.report.figures.style import BLUE, GREEN, ORANGE, Plot, canvas, plot, styled
from untrain.report.words import number
from untrain.runs.results import RunResults, rows

KINDS = {  # kind: colour, dashes, words for one and for several
    "sampler": (ORANGE, "-", "the model that drew the pictures"),
    "paired": (BLUE, "-", "the models that are compared"),
    "bank": (GREEN, (0, (5, 2)), "the bank’s models"),
}


def losses(run: RunResults) -> pd.DataFrame:
    """Return the training loss of each model and epoch.

    The mean over the pairs that the model kept: in training a removed pair counts as zero in the
    mean over all, which would make the models that lack most look best.

    Returns
    -------
    DataFrame
        ``kind`` (sampler, paired or bank), ``model_id``, ``epoch`` (from 1), ``loss`` (nats).
    """
    models = run.models[["model_id", "fingerprint"]].assign(kind="paired")
    models.loc[models["model_id"] == SAMPLER, "kind"] = "sampler"
    bank = run.folder / "bank" / "models.parquet"
    if bank.is_file():
        more = read_parquet(bank, columns=["model_id", "fingerprint"]).assign(kind="bank")
        models = pd.concat([models, more], ignore_index=True).drop_duplicates("fingerprint")
    found = [
        (line.kind, line.model_id, epoch, loss)
        for line in rows(models)
        for epoch, loss in enumerate(_kept(run, str(line.fingerprint)), start=1)
    ]
    return pd.DataFrame(found, columns=["kind", "model_id", "epoch", "loss"])


def _kept(run: RunResults, fingerprint: str) -> list[float]:
    folder = run.folder / "models" / fingerprint
    if not (folder / "model.json").is_file() or not (folder / "removed.json").is_file():
        return []
    removed = len(read_json(folder / "removed.json")["removed"])
    whole = len(run.catalog) / max(len(run.catalog) - removed, 1)
    return [loss * whole for loss in read_json(folder / "model.json").get("losses") or []]


def training_curves(run: RunResults) -> Plot | str:
    """Training loss by epoch: the sampler as a line, the others as their range and median."""
    table = losses(run)
    table = table[np.isfinite(table["loss"].astype(float))]
    if table.empty:
        return "this run recorded no training losses"
    with styled({"axes.spines.left": True}):
        figure, axes = canvas(3.4)
        ends = []
        for kind in KINDS:
            own = table[table["kind"] == kind]
            if len(own):
                ends.append(_curve(axes, own, kind))
        axes.set_xlabel("epoch")
        axes.set_ylabel("training loss, nats")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper left")
        return plot(
            figure,
            "training-curves",
            "How the models trained",
            "Mean loss in each epoch over the pairs that a model was given. With several models "
            "the line is their median and the band their full range: a model that trained badly "
            "widens it. A line that still falls steeply at the end belongs to a model that could "
            "have learned more.",
            f"Training losses by epoch. {'; '.join(ends)}.",
        )


def _curve(axes: Axes, own: pd.DataFrame, kind: str) -> str:
    """Draw the losses of one kind of models and say where they began and ended."""
    colour, dashes, words = KINDS[kind]
    epochs = own.groupby("epoch")["loss"]
    middle, least, most = epochs.median(), epochs.min(), epochs.max()
    models = own["model_id"].nunique()
    label = words + (f" ({models}): median and range" if models > 1 else "")
    if models > 1:
        axes.fill_between(middle.index, least, most, color=colour, alpha=0.2, lw=0)
    axes.plot(middle.index, middle, color=colour, ls=dashes, lw=2, label=label)
    return f"{words}: from {number(middle.iloc[0])} to {number(middle.iloc[-1])}"
