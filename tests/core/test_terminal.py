"""Pictures in a terminal: which protocol, what is sent, and only words where none is spoken."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from untrain.core import terminal
from untrain.core.progress import Said
from untrain.core.terminal import BLOCKS, ITERM, KITTY, NONE, half_blocks, iterm, kitty, protocol


class Tty(io.StringIO):
    """A file that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


def console(colours: str = "truecolor", no_color: bool = False) -> Console:
    return Console(
        file=Tty(), force_terminal=True, color_system=colours, no_color=no_color, width=80
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environment", "how"),
    [
        ({}, BLOCKS),
        ({"TERM": "xterm-kitty"}, KITTY),
        ({"TERM_PROGRAM": "ghostty"}, KITTY),
        ({"TERM_PROGRAM": "iTerm.app"}, ITERM),
        ({"LC_TERMINAL": "iTerm2"}, ITERM),
        ({"TERM": "tmux-256color", "LC_TERMINAL": "iTerm2"}, BLOCKS),
        ({"TMUX": "/tmp/tmux", "KITTY_WINDOW_ID": "1"}, BLOCKS),
    ],
)
def test_the_environment_tells_the_protocol(environment: dict[str, str], how: str) -> None:
    assert protocol(console(), environment) == how


def test_nothing_is_drawn_without_colours_or_a_terminal() -> None:
    assert protocol(console(no_color=True), {}) == NONE
    assert protocol(console("standard"), {}) == NONE
    assert protocol(Console(file=io.StringIO(), force_terminal=True), {"TERM": "kitty"}) == NONE


def test_half_blocks_have_two_pixels_a_character() -> None:
    pixels = np.array([[[255, 0, 0]], [[0, 0, 255]], [[0, 255, 0]]], np.uint8)
    text = half_blocks(Image.fromarray(pixels))
    assert text.plain.count("▀") == 2  # the third row is its own lower half
    upper, lower = (span.style for span in text.spans)
    assert (upper.color.triplet, upper.bgcolor.triplet) == ((255, 0, 0), (0, 0, 255))  # type: ignore[union-attr]
    assert (lower.color.triplet, lower.bgcolor.triplet) == ((0, 255, 0), (0, 255, 0))  # type: ignore[union-attr]


def test_protocols_carry_the_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image = Image.fromarray(noise)
    pieces = [piece.split(";", 1)[1] for piece in kitty(image, 8).split("\x1b\\")[:-1]]
    assert len(pieces) > 1
    again = Image.open(io.BytesIO(base64.b64decode("".join(pieces))))
    assert np.array_equal(np.asarray(again), noise)
    sent = iterm(image, 8).partition(":")[2].rstrip("\a")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(sent)))), noise)


def test_elsewhere_the_path_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for file, drawn in ((io.StringIO(), False), (Tty(), True)):
        said = Said(file=file, force_terminal=True, color_system="truecolor", width=80)
        monkeypatch.setattr(terminal, "console", said)
        terminal.show([np.zeros((9, 9, 3), np.uint8)] * 9, "nine", Path("a.png"))
        assert "nine: a.png" in file.getvalue()
        assert ("▀" in file.getvalue()) == drawn
