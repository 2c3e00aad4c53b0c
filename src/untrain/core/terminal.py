"""Pictures in a terminal: by its own protocol, or as coloured half blocks; elsewhere their path.

The protocols are those of kitty (https://sw.kovidgoyal.net/kitty/graphics-protocol/) and iTerm2
(https://iterm2.com/documentation-images.html). Which one a terminal speaks is read off the
environment: asking the terminal itself would read keys that the user types ahead, and hang where
nothing answers. Terminals of other protocols (sixel) have 24-bit colour and get half blocks.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from untrain.core.printing import escape
from untrain.core.progress import Said, console

KITTY, ITERM, BLOCKS, NONE = "kitty", "iterm", "blocks", "none"
WIDEST = 72  # columns of a picture
PIECE = 4096  # bytes of base64 in one escape sequence of kitty's protocol
BLOCK_CELL = 16  # pixels, and columns, of one picture of a strip of half blocks
FINE_CELL = 96  # pixels of one picture of a strip in a terminal that shows real ones
FINE_COLUMNS = 8  # columns that such a picture takes

Picture = Image.Image | np.ndarray


def protocol(shown: Console, environment: Mapping[str, str] = os.environ) -> str:
    """Return how pictures can be shown on a console: a protocol, half blocks or not at all.

    Not at all where it is no terminal, has no colours to speak of, or the user wants none
    (``NO_COLOR``). Inside tmux and screen, which keep other protocols from the terminal, half
    blocks are shown.
    """
    if not shown.is_terminal or not shown.file.isatty() or shown.no_color:
        return NONE
    if shown.color_system not in ("truecolor", "256"):
        return NONE
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or term.startswith(("screen", "tmux")):
        return BLOCKS
    if "KITTY_WINDOW_ID" in environment or program == "ghostty" or "kitty" in term:
        return KITTY
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return ITERM
    return BLOCKS


def show(pictures: Sequence[Picture], words: str, path: Path | None, per_row: int = 0) -> None:
    """Show pictures beside each other where standard error is a terminal that can.

    Elsewhere only the words are printed, and where the pictures are. Nothing is shown in a
    terminal that is quiet.

    Parameters
    ----------
    pictures : sequence of PIL images or uint8 arrays, each height × width × 3
        As many as fit into ``rows`` are shown, those at the end are left out.
    words : str
        What they are, in a line.
    path : Path, optional
        A file or folder that has them.
    per_row : int
        Pictures a row, where rows mean something; rows that are too long are cut. By default as
        many as fit, in at most two rows.
    """
    if console.quiet:
        return
    where = f": {escape(str(path))}" if path else ""
    console.print(f"      {escape(words)}{where}", soft_wrap=True)
    how = protocol(console)
    if how == NONE or not pictures:
        return
    fine = how in (KITTY, ITERM)
    columns = min(console.width - 8, WIDEST if fine else 2 * WIDEST)
    fitting = max(1, columns // (FINE_COLUMNS if fine else BLOCK_CELL + 1))
    rows = [pictures[i : i + per_row][:fitting] for i in range(0, len(pictures), per_row or 1)]
    if not per_row:
        rows = [pictures[:fitting], pictures[fitting : 2 * fitting]]
    image = _side_by_side([row for row in rows if len(row)], FINE_CELL if fine else BLOCK_CELL)
    if how == BLOCKS:
        console.print(half_blocks(image))
    else:
        columns = FINE_COLUMNS * max(map(len, rows))
        _send(console, kitty(image, columns) if how == KITTY else iterm(image, columns))


def half_blocks(image: Image.Image) -> Text:
    """Return a picture as text: each character is two pixels, one above the other."""
    pixels = np.asarray(image.convert("RGB"))
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    text = Text(no_wrap=True, end="")
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        text.append("      ")
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
        text.append("\n")
    return text


def kitty(image: Image.Image, columns: int) -> str:
    """Return the escape sequences that show a picture in kitty's protocol."""
    data = base64.standard_b64encode(_png(image)).decode()
    pieces = [data[i : i + PIECE] for i in range(0, len(data), PIECE)]
    sent = []
    for number, piece in enumerate(pieces):
        first = f"a=T,f=100,q=2,c={columns}," if number == 0 else ""
        more = int(number < len(pieces) - 1)
        sent.append(f"\x1b_G{first}m={more};{piece}\x1b\\")
    return "".join(sent)


def iterm(image: Image.Image, columns: int) -> str:
    """Return the escape sequence that shows a picture in iTerm2's protocol."""
    png = _png(image)
    data = base64.standard_b64encode(png).decode()
    about = f"inline=1;size={len(png)};width={columns};preserveAspectRatio=1"
    return f"\x1b]1337;File={about}:{data}\a"


def _send(shown: Said, sequence: str) -> None:
    """Write what only the terminal understands: neither wrapped nor logged."""
    shown.file.write(f"      {sequence}\n")
    shown.file.flush()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _side_by_side(rows: Sequence[Sequence[Picture]], cell: int) -> Image.Image:
    """Return rows of pictures in square cells, a pixel in sixteen between them."""
    gap = max(1, cell // 16)
    across = max(map(len, rows))
    size = across * (cell + gap) - gap, len(rows) * (cell + gap) - gap
    sheet = Image.new("RGB", size)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
            image = image.convert("RGB")
            scale = cell / max(image.size)
            fitted = image.resize(
                (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
                Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST,
            )
            x = c * (cell + gap) + (cell - fitted.width) // 2
            y = r * (cell + gap) + (cell - fitted.height) // 2
            sheet.paste(fitted, (x, y))
    return sheet
