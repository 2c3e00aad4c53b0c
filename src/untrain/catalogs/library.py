"""The library `datasets` of Hugging Face, which need not be installed."""

from __future__ import annotations

from typing import Any

from untrain.core.errors import InputError


def library() -> Any:
    """Return the package `datasets`; `InputError` if it is not installed."""
    try:
        import datasets
    except ImportError:
        raise InputError(
            "Hugging Face data sets need the package 'datasets', which is not installed: "
            "pip install 'untrain[datasets]'"
        ) from None
    return datasets
