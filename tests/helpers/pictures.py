"""Random pictures, uint8 (count, height, width, 3)."""

import cv2
import numpy as np


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Every pixel drawn by itself."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def smooth(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blurred noise."""
    blurred = [cv2.GaussianBlur(image, (0, 0), 3) for image in noise(count, height, width, seed)]
    return np.stack(blurred)
