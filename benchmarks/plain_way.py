"""The study's way of working, plainly written: the baseline that other benchmarks are held against.

Per prompt, per pair, per image, nothing kept: what the protocol describes, in current libraries.
Where its scripts do more than the protocol needs (images written again, tables read back), this
does not, so that the baseline is if anything too fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy.special import rel_entr
from skimage.metrics import structural_similarity
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

WEIGHTS = (0.0001, 0.01, -1, -1, -1, 1, 0.00001, 0.00001, 0.001)


def read_captions(folder: Path) -> list[str]:
    """Read every caption from a file of its own."""
    return [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]


def retrieve_plainly(captions: Sequence[str], prompt: str, top: int) -> np.ndarray:
    """Fit TF-IDF to all captions and return the positions of the nearest to one prompt."""
    vectorizer = TfidfVectorizer()
    weights = vectorizer.fit_transform(captions)
    return np.argsort(-cosine_similarity(vectorizer.transform([prompt]), weights)[0])[:top]


def compare_pixels_plainly(a: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """Compute the six pixel metrics of one pair; those that the score uses come first."""
    x, y = a.astype(float), b.astype(float)
    mse = ((x - y) ** 2).sum() / x[..., 0].size
    mae = np.abs(x - y).mean()
    correlation = ((x - x.mean()) * (y - y.mean())).mean()
    cosine = (x * y).sum() / (np.linalg.norm(x) * np.linalg.norm(y))
    bins = [0, 1, 2], None, [8, 8, 8], [0, 256] * 3
    counts = cv2.calcHist([a], *bins).ravel(), cv2.calcHist([b], *bins).ravel()
    histogram = cv2.compareHist(counts[0], counts[1], cv2.HISTCMP_CORREL)
    grey = cv2.cvtColor(cv2.subtract(a, b), cv2.COLOR_RGB2GRAY)
    ssim = structural_similarity(grey, np.zeros_like(grey))
    return mse, mae, cosine, ssim, correlation, histogram


def compare_features_plainly(e: np.ndarray, f: np.ndarray) -> tuple[float, ...]:
    """Compute the five feature metrics of one pair."""
    cosine = (e @ f) / (np.linalg.norm(e) * np.linalg.norm(f))
    kl = rel_entr(e, np.maximum(f, 1e-10)).sum()
    minkowski = float(np.linalg.norm(e - f))
    return cosine, ((e - f) ** 2).mean(), kl, np.abs(e - f).sum(), minkowski


class PlainEncoder:
    """A `transformers` model as its page shows it: float32, one image at a time, nothing kept.

    It stands in for the study's Keras model, on the same weights as ours and with PyTorch's own
    threads; it has none of what speeds ours up (batches, memory layout, folded normalisation).
    """

    def __init__(self, path: str) -> None:
        from transformers import AutoImageProcessor, AutoModel

        self.processor: Any = AutoImageProcessor.from_pretrained(path, backend="pil")
        self.model: Any = AutoModel.from_pretrained(path).eval()

    def encode(self, path: Path) -> np.ndarray:
        """Read an image file and return its flattened features."""
        import torch

        with Image.open(path) as image, torch.no_grad():
            inputs = self.processor(images=image.convert("RGB"), return_tensors="pt")
            return self.model(**inputs).last_hidden_state.flatten().numpy()


def rank_plainly(rows: Sequence[tuple[int, str, Sequence[float]]], top: int) -> list[str]:
    """Return the images of the lowest mean weighted sum; a row is generation, image, metrics."""
    scores: dict[str, list[float]] = {}
    for _, image, metrics in rows:
        score = sum(weight * value for weight, value in zip(WEIGHTS, metrics, strict=True))
        scores.setdefault(image, []).append(score)
    return sorted(scores, key=lambda image: float(np.mean(scores[image])))[:top]
