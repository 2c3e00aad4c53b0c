"""What a run was made with and on: for its record."""

from __future__ import annotations

import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

import untrain
from untrain.core.hardware import device


def versions() -> dict[str, str]:
    """Return the versions of what results depend on."""
    names = ("torch", "numpy", "pandas", "scikit-learn", "scikit-image", "transformers")
    found = {"untrain": untrain.__version__, "python": platform.python_version()}
    for name in names:
        with suppress(PackageNotFoundError):  # transformers is optional
            found[name] = version(name)
    return found


def machine(precision: str | None) -> dict[str, Any]:
    """Return what computes, with how many threads, on which device and in which precision."""
    return {
        "platform": sys.platform,
        "processor": platform.machine(),
        "cores": torch.get_num_threads(),
        "device": str(device()),
        "precision": precision,
    }
