"""The quality gate: do generated pictures show what their prompts ask for?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_predict

from untrain.catalogs.base import Catalog
from untrain.core.files import rng
from untrain.search.retrieve.candidates import retrieve

GATE = {"article": 0.9, "colour": 0.8}
ATTRIBUTES = {
    "article": ("article", "articleType"),
    "colour": ("colour", "baseColour"),
}
_SIDE, _MOST_IMAGES = 16, 3000


def judge(
    catalog: Catalog, prompts: pd.DataFrame, pictures: Sequence[tuple[str, np.ndarray]]
) -> dict[str, Any] | None:
    """Return how often pictures show the article and the colour that their prompts ask for.

    A linear discriminant probe on small pictures learns both from the catalogue's own attributes.
    What a prompt asks for is its family's attribute where that is known, otherwise the
    commonest one among its ten nearest captions. The probe's own accuracy on real pictures
    (five-fold) is returned too: no generator can be judged better than that.

    Parameters
    ----------
    catalog : Catalog
        With attributes ``article`` and ``colour`` (or ``articleType`` and ``baseColour``).
    prompts : DataFrame
        Columns prompt_id, prompt, family.
    pictures : sequence of (prompt_id, uint8 picture H×W×3)

    Returns
    -------
    dict or None
        For each attribute the share of pictures that show it, ``<attribute>_probe`` the probe's
        accuracy on real pictures, ``n`` pictures, ``passed`` (article ≥ 0.9 and colour ≥ 0.8) and a
        ``summary``. None where the catalogue has no such attributes.
    """
    columns = {
        name: next((c for c in names if c in catalog.attributes), None)
        for name, names in ATTRIBUTES.items()
    }
    if None in columns.values() or len(catalog) < 50:
        return None
    chosen = np.sort(rng("probe", 0).permutation(len(catalog))[:_MOST_IMAGES])
    size = pictures[0][1].shape[:2]
    real = _small(catalog.pixels(size, [catalog.ids[i] for i in chosen]))
    drawn = _small(np.stack([picture for _, picture in pictures]))
    quality: dict[str, Any] = {"n": len(pictures)}
    for name, column in columns.items():
        labels = catalog.attributes[column].astype(str).to_numpy()
        asked = _asked(catalog, prompts, labels)
        probe = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        known = _frequent(labels[chosen])
        probe_labels = labels[chosen][known]
        folds = cross_val_predict(probe, real[known], probe_labels, cv=5)
        predicted = probe.fit(real[known], probe_labels).predict(drawn)
        wanted = np.array([asked[prompt_id] for prompt_id, _ in pictures])
        quality[name] = float(np.mean(predicted == wanted))
        quality[f"{name}_probe"] = float(np.mean(folds == probe_labels))
    quality["passed"] = all(quality[name] >= least for name, least in GATE.items())
    quality["summary"] = (
        f"right article {quality['article']:.0%}, right colour {quality['colour']:.0%} "
        f"of {len(pictures)} pictures"
    )
    return quality


def _small(pixels: np.ndarray) -> np.ndarray:
    """Return pictures as small vectors, (n, 768) float32: enough to tell shoes from shirts."""
    import cv2

    small = [cv2.resize(p, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for p in pixels]
    return np.stack(small).reshape(len(pixels), -1).astype(np.float32) / 255


def _frequent(labels: np.ndarray) -> np.ndarray:
    """Return where the label is frequent enough (ten times) to be learned and cross-validated."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return counts[inverse] >= 10


def _asked(catalog: Catalog, prompts: pd.DataFrame, labels: np.ndarray) -> dict[str, str]:
    """Return the attribute that each prompt asks for."""
    families = catalog.attributes.get("family", pd.Series([""] * len(catalog))).astype(str)
    asked = {}
    neighbours = retrieve(catalog, prompts, top=10).table.groupby("prompt_id")["image_id"]
    nearest = {p: [catalog.index[i] for i in ids] for p, ids in neighbours}
    for prompt_id, family in zip(prompts["prompt_id"], prompts["family"], strict=True):
        members = np.flatnonzero(families == family) if family else np.array([], int)
        rows = members if len(members) else np.array(nearest[prompt_id])
        values, counts = np.unique(labels[rows], return_counts=True)
        asked[prompt_id] = str(values[counts.argmax()])
    return asked
