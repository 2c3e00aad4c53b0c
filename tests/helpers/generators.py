"""What tests of generators share."""

from __future__ import annotations


def silent(n: int) -> None:
    """No progress."""
