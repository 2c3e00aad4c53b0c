"""The stage ``report``: the page, the tables in Markdown and the thumbnails that they show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from untrain.catalogs.base import Catalog
from untrain.experiment.stages.base import Stage
from untrain.runs.pictures import save_pictures
from untrain.runs.run import Run
from untrain.runs.stage_names import STAGE_HELP

SHOWN, SIDE = 10, 128  # images of a ranking that get a thumbnail, and its side in pixels


def report(run: Run) -> None:
    """Write the report of a trial, which also shows removed images from a list of ids."""
    sets = run.table("forget_sets")
    _report(run, sets[sets["arm"].isin(["family", "ids"])]["image_id"])


def report_given(run: Run) -> None:
    """Write the report of given pictures: nothing was removed."""
    _report(run, ())


def _report(run: Run, removed: Iterable[str]) -> None:
    from untrain.report.page.rewrite import (
        PUBLIC,
        shows_training_images,
        write_page,
        write_public,
    )

    ids = shown_images(run.table("ranking"), run.table("copies"), removed)
    run.keep("captions", captions_of(run.catalog, ids))
    save_pictures(run.path("thumbnails"), thumbnails(run.catalog, ids))
    run.save_record()
    write_page(run.folder, shows_training_images(run.folder))
    if run.path(PUBLIC).is_file():  # it was asked for, and must not fall behind
        write_public(run.folder)


def shown_images(
    ranking: pd.DataFrame, copies: pd.DataFrame, removed: Iterable[str] = ()
) -> list[str]:
    """Return the ids of the training images that a report names, sorted."""
    first = ranking[ranking["rank"] <= SHOWN]["image_id"]
    return sorted({*first, *copies[copies["near_copy"]]["image_id"], *removed})


def captions_of(catalog: Catalog, ids: Sequence[str]) -> pd.DataFrame:
    """Return the columns image_id, caption and, where it is known, family."""
    rows = [catalog.index[image_id] for image_id in ids]
    table = pd.DataFrame({"image_id": ids, "caption": [catalog.captions[row] for row in rows]})
    if "family" in catalog.attributes:
        families = catalog.attributes["family"]
        table["family"] = [str(families[row]) for row in rows]
    return table


def thumbnails(catalog: Catalog, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Return small pictures by image id, uint8."""
    pictures = {}
    for image_id in ids:
        image = catalog.image(image_id)
        image.thumbnail((SIDE, SIDE))
        pictures[image_id] = np.asarray(image)
    return pictures


STAGE = Stage(
    name="report",
    help=STAGE_HELP["report"],
    work=report,
    settings=lambda run: None,
    after=("evaluate", "rank"),
    outputs=("report.html", "results/summary.md"),
    others=(
        *("captions.parquet", "thumbnails", "report-public.html"),
        *("results/page.json", "results/figures", "results/tables"),
    ),
)
STAGE_OF_GIVEN_PICTURES = replace(STAGE, work=report_given, after=("judge", "rank"))
