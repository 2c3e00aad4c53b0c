"""The pictures of the page: whether they may be shown, and the key to their details."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from untrain.core.vocabulary import SAMPLER
from untrain.report.copies import copied_from
from untrain.report.page.embedded import LARGE, LARGEST_SIDE, EmbeddedPictures
from untrain.runs.pictures import picture_path
from untrain.runs.results import RunResults

REFERENCE = "reference"


@dataclass(frozen=True)
class Shown:
    """A picture on the page.

    Attributes
    ----------
    key : str
        Key of its details (`untrain.report.page.picture_details`).
    picture : str
        The class that shows it, or "" if it is not shown.
    alt : str
        What it is, in words.
    instead : str
        What is shown in its place if it may not be shown.
    """

    key: str
    picture: str
    alt: str
    instead: str = ""


class Gallery:
    """Provides the pictures of a run; training images only if they may be shown.

    If they may not, generated near copies of one are withheld too, together with what other models
    drew from the same noise, and so is the reference, which the copy test does not cover.
    """

    def __init__(
        self, run: RunResults, pictures: EmbeddedPictures, training_images: bool = True
    ) -> None:
        self.run = run
        self.pictures = pictures
        self.training_images = training_images
        self.captions: dict[str, str] = {}
        for table in (run.catalog, run.captions):
            self.captions |= dict(zip(table["image_id"], table["caption"], strict=True))
        self.families: dict[str, str] = {}
        if "family" in run.captions:
            known = run.captions["family"].fillna("")
            self.families = dict(zip(run.captions["image_id"], known, strict=True))
        self.copied = copied_from(run)
        self.texts = run.texts
        self.shown: dict[str, Shown] = {}
        self.about: dict[str, tuple[Any, ...]] = {}

    def training(self, image_id: str) -> Shown:
        """Return a training image."""
        key = f"t/{image_id}"
        if key not in self.shown:
            picture = ""
            if self.training_images:
                name = str(picture_path(Path(), image_id))
                picture = self.pictures.add(self.run.folder / "thumbnails", name)
            alt = f"Training image {image_id}: {self.captions.get(image_id, 'no caption')}"
            self._keep(Shown(key, picture, alt, image_id), image_id)
        return self.shown[key]

    def drawn(
        self, prompt_id: str, number: str, model: str = SAMPLER, large: bool = False
    ) -> Shown:
        """Return a picture that a model drew for a prompt; ``number`` may be `REFERENCE`.

        ``large`` embeds it with more pixels, if it was not asked for before.
        """
        key = f"g/{model}/{prompt_id}/{number}"
        if key not in self.shown:
            first = model == SAMPLER
            below = f"queries/{prompt_id}" if first else f"generations/{model}/{prompt_id}"
            picture, instead = "", "not there"
            if self._withheld(prompt_id, number):
                instead = "withheld"
            else:
                side = LARGE if large else LARGEST_SIDE
                picture = self.pictures.add(self.run.folder, f"{below}/{number}.png", side)
            which = "Reference picture" if number == REFERENCE else f"Picture {number}"
            alt = f"{which} drawn for this prompt" if first else f"{which} redrawn by {model}"
            self._keep(Shown(key, picture, alt, instead), model, prompt_id, number)
        return self.shown[key]

    def has_thumbnail(self, image_id: str) -> bool:
        """Return whether a training image can and may be shown."""
        path = picture_path(self.run.folder / "thumbnails", image_id)
        return self.training_images and path.is_file()

    def numbers(self, prompt_id: str) -> list[str]:
        """Return the numbers of the pictures drawn for a prompt, in order."""
        root = self.run.folder / "queries"
        inside = (root / prompt_id).resolve()
        if not inside.is_relative_to(root.resolve()) or not inside.is_dir():
            return []
        return sorted((p.stem for p in inside.glob("*.png") if p.stem.isdecimal()), key=int)

    def has_reference(self, prompt_id: str) -> bool:
        """Return whether there is a reference picture that may be shown."""
        path = self.run.folder / "queries" / prompt_id / f"{REFERENCE}.png"
        return self.training_images and bool(self.numbers(prompt_id)) and path.is_file()

    def _withheld(self, prompt_id: str, number: str) -> bool:
        return not self.training_images and (prompt_id, number) in self.copied

    def _keep(self, shown: Shown, *about: Any) -> None:
        self.shown[shown.key] = shown
        self.about[shown.key] = about
