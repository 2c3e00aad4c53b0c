"""Prompts to begin with, drawn from the captions of a catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from untrain.core.files import rng

LONGEST = 300  # characters of a caption that makes a prompt
ALIKE = 0.6  # share of the words of both captions that are common: such prompts share their images


def draw_prompts(captions: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """Draw captions that say different things, to be used as prompts.

    Prompts that are nearly the same would compete for the same training images, so a caption of
    which most words are those of one drawn before waits until no other is left.

    Parameters
    ----------
    captions : sequence of str
    count : int
        Prompts wanted; fewer are returned where there are fewer different captions.
    seed : int
        Of the draw.
    """
    known: dict[str, str] = {}
    for caption in captions:
        text = " ".join(caption.split())
        if 0 < len(text) <= LONGEST:
            known.setdefault(text.casefold(), text)
    texts = [known[key] for key in sorted(known)]
    chosen: list[str] = []
    waiting: list[str] = []
    for row in rng("quickstart-prompts", seed).permutation(len(texts)):
        if len(chosen) == count:
            break
        near = any(_common(texts[row], other) > ALIKE for other in chosen)
        (waiting if near else chosen).append(texts[row])
    return [*chosen, *waiting][:count]


def _common(one: str, other: str) -> float:
    """Return the share of the words of two texts that are in both."""
    a, b = set(one.casefold().split()), set(other.casefold().split())
    return len(a & b) / len(a | b)
