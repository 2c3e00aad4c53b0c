"""A few training images of each group, beside the shares of groups."""

from __future__ import annotations

from typing import Any

from untrain.core.bank_tables import GROUP_OF_IMAGE
from untrain.report.page.gallery import Gallery, Shown
from untrain.report.tables.shares import shares_texts
from untrain.runs.results import RunResults

PICTURES = 6  # a group


def shares_with_pictures(run: RunResults, gallery: Gallery) -> list[dict[str, Any]]:
    """Return what the page shows of shares, with ``strips``: groups and images of theirs.

    Only of images that the run keeps small pictures of, and only if training images may be shown.
    """
    texts = shares_texts(run)
    for text in texts:
        order = [row[0] for row in text["rows"]]
        text["strips"] = _strips(run, gallery, text["key"], order)
    return texts


def _strips(
    run: RunResults, gallery: Gallery, key: str, order: list[str]
) -> list[tuple[str, list[Shown]]]:
    folder = run.folder / "groups" / key
    if not gallery.training_images or not GROUP_OF_IMAGE.path(folder).is_file():
        return []
    table = GROUP_OF_IMAGE.read(folder)
    table = table[table["image_id"].map(gallery.has_thumbnail)].groupby("group").head(PICTURES)
    members = table.groupby("group")["image_id"].agg(list)
    return [(n, [gallery.training(i) for i in members[n]]) for n in order if n in members]
