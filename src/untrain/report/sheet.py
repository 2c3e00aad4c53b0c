"""One picture that shows a run: the pictures, and those redrawn with and without the images."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from PIL import Image

from untrain.catalogs.sheet import contact_sheet, one_line
from untrain.core.images import open_picture
from untrain.report.model_pairs import with_and_without
from untrain.runs.results import read_results

_EACH = 5  # pictures of a model, at most
_CAPTIONS = (
    "“{text}”\n{prompt}, drawn by {model}",
    "the same noise in {model},\ntrained with its images",
    "the same noise in {model},\ntrained without them",
)


def generated_sheet(folder: Path, cell: int = 96, rows: int | None = None) -> Image.Image:
    """Return a sheet of generated pictures only, one row per prompt.

    From the left: pictures of A with the prompt under them, the same noise in a model trained with
    the prompt's forget set, and in one trained without it. No training image is shown.

    Parameters
    ----------
    folder : Path
        A run folder with generations.
    cell : int
        Side of a picture in pixels.
    rows : int, optional
        How many prompts to show; by default all.
    """
    run = read_results(folder)
    asked = run.config.get("generations", _EACH)
    each = min(_EACH, asked) if isinstance(asked, int) else _EACH
    pictures: list[Image.Image] = []
    labels: list[str] = []
    blank = Image.new("RGB", (8, 8), "white")
    asked_for = zip(run.prompts["prompt_id"], run.prompts["prompt"], strict=True)
    for prompt_id, text in islice(asked_for, rows):
        models = [
            (name, folder / "generations" / name) for name in with_and_without(run, prompt_id)
        ]
        columns = [("A", folder / "queries"), *models]
        for (name, source), caption in zip(columns, _CAPTIONS, strict=False):
            drawn = sorted((source / prompt_id).glob("[0-9]*.png"))[:each]
            for path in drawn:
                pictures.append(open_picture(path))
            told = caption.format(text=one_line(str(text)), prompt=prompt_id, model=name)
            labels += [told, *[""] * (len(drawn) - 1)] if drawn else []
            missing = each - len(drawn)
            pictures += [blank] * missing
            labels += [""] * missing
        absent = each * (3 - len(columns))
        pictures += [blank] * absent
        labels += [""] * absent
    return contact_sheet(pictures, 3 * each, cell, labels, wrap=2)
