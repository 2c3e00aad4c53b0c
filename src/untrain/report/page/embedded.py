"""Pictures of the page: each is embedded once, as a class of a style sheet, within a budget."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from untrain.core.errors import InputError
from untrain.core.images import opened
from untrain.core.outside import read_bytes

LARGEST_SIDE = 224  # of most pictures: more than the page shows, for fine screens
LARGE = 400  # of the pictures that the page opens with
BUDGET = 11_000_000  # bytes of pictures, so that the page stays below 15 MB
QUALITY = 92


class EmbeddedPictures:
    """Pictures as classes of one style sheet, so that those shown twice are embedded once.

    A class works without a script, and pictures that are not on the screen are not decoded.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.left = budget
        self.dropped = 0
        self._classes: dict[str, str] = {}
        self._known: dict[Path, str] = {}

    def add(self, folder: Path, name: str, side: int = LARGEST_SIDE) -> str:
        """Return the class that shows a picture; "" if it is not below ``folder`` or does not fit.

        Pictures with the same bytes share a class; ``side`` limits a picture that is new.
        """
        path = (folder / name).resolve()
        if path not in self._known:
            inside = path.is_relative_to(folder.resolve()) and path.is_file()
            self._known[path] = self._class(data_uri(path, side)) if inside else ""
        return self._known[path]

    def _class(self, uri: str) -> str:
        if not uri or uri in self._classes:
            return self._classes.get(uri, "")
        if len(uri) > self.left:
            self.dropped += 1
            return ""
        self.left -= len(uri)
        self._classes[uri] = f"i{len(self._classes)}"
        return self._classes[uri]

    @property
    def sheet(self) -> str:
        """The style sheet."""
        rules = (f'.{name}{{background-image:url("{uri}")}}' for uri, name in self._classes.items())
        return "\n".join(rules)


def data_uri(path: Path, side: int = LARGEST_SIDE) -> str:
    """Return a picture as a WebP of at most ``side`` pixels, or "" if it is not a PNG."""
    try:
        with opened(read_bytes(path), path.name, ["PNG"]) as image:
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=4)
    except (OSError, InputError):
        return ""
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
