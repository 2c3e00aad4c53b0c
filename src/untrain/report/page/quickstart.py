"""The page of a first look: pictures, copies, neighbourhoods, a tiny trial, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.images import open_picture
from untrain.report import quickstart as words
from untrain.report.model_pairs import chosen_sets, with_and_without
from untrain.report.page.templates import read_asset, render_template
from untrain.report.page.trace import data_uri
from untrain.report.quickstart_plan import plan_sentences
from untrain.runs.results import RunResults, read_results

SIDE = 240  # pixels of a picture: twice what the page shows
SHOWN = 24  # pictures of the catalogue
ASKED = 8  # held-out pictures
PROMPTS = 6  # of the trial
FOUND = 4  # training images of a prompt
COPIES = 6  # pictures of a group


def quickstart_page(record: Mapping[str, Any], catalog: Catalog, folder: Path) -> str:
    """Return the page, which needs no network and runs no script.

    Parameters
    ----------
    record : mapping
        As ``record.json`` holds it.
    catalog : Catalog
        Where the pictures are read.
    folder : Path
        Of the first look: it holds the tiny trial, if there is one.
    """
    run = trial_of(record, folder)
    style = "\n".join(map(read_asset, ("report.css", "quickstart.css")))
    see = _Pictures(catalog)
    search, groups = record["search"], record["copies"]["shown"]
    return render_template(
        "quickstart.html.j2",
        style=Markup(style),
        title=Path(record["data"]).name,
        record=record,
        took=words.time_words(record),
        data=words.data_sentences(record),
        copies=words.copy_sentences(record),
        search=words.search_sentences(record),
        trial=words.trial_sentences(record, run),
        planted=words.planted_sentence(record, run),
        plan=plan_sentences(record),
        warnings=words.trial_warnings(run),
        verdicts=words.verdict_line(run),
        running=record["trial"]["skipped"] == words.RUNNING,
        trusted=run is not None and not run.withheld,
        link=f"{record['trial']['folder']}/report.html" if run else "",
        pictures=[see(i) for i in _spread(catalog)],
        groups=[[see(i["id"], i["caption"]) for i in each[:COPIES]] for each in groups],
        asked=[
            {"own": see(a["id"], a["caption"]), "near": [see(h["id"], h["caption"]) for h in hits]}
            for a in search["asked"][:ASKED]
            if (hits := a["nearest"])
        ],
        prompts=_prompts(run, see) if run else [],
        not_meant=words.not_meant(record, run),
        commands=words.commands(record),
    )


class _Pictures:
    """Embeds pictures of the catalogue, each once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._known: dict[str, str] = {}

    def __call__(self, image_id: str, caption: str | None = None) -> dict[str, str]:
        if image_id not in self._known:
            try:
                self._known[image_id] = data_uri(self.catalog.image(image_id), SIDE)
            except (InputError, OSError, KeyError):  # a planted one, or gone since
                self._known[image_id] = ""
        row = self.catalog.index.get(image_id)
        told = caption if caption is not None else self.catalog.captions[row] if row else ""
        return {"uri": self._known[image_id], "id": image_id, "caption": told}


def _spread(catalog: Catalog) -> list[str]:
    """Return some ids from all over the catalogue."""
    step = max(1, len(catalog) // SHOWN)
    return [catalog.ids[row] for row in range(0, len(catalog), step)][:SHOWN]


def trial_of(record: Mapping[str, Any], folder: Path) -> RunResults | None:
    """Return the results of the tiny trial in the folder of a first look, if there are any."""
    name = record["trial"].get("folder")
    try:
        return read_results(folder / name) if name else None
    except InputError:
        return None


def _prompts(run: RunResults, see: _Pictures) -> list[dict[str, Any]]:
    """Return the prompts of the trial: what was drawn, with and without, and what was found."""
    sets = chosen_sets(run)
    told = []
    for prompt_id, text, role in zip(
        run.prompts["prompt_id"], run.prompts["prompt"], run.prompts["role"], strict=True
    ):
        pair = with_and_without(run, str(prompt_id))
        places = [run.folder / "queries", *(run.folder / "generations" / m for m in pair)]
        labels = ("drawn by A", "redrawn with them", "redrawn without")
        drawn = [
            {"uri": _file(place / str(prompt_id) / "0.png"), "label": label}
            for place, label in zip(places, labels, strict=False)
        ]
        control = role == "control"
        found = [] if control else [see(i) for i in sets.get(str(prompt_id), [])[:FOUND]]
        told.append({"text": text, "control": control, "drawn": drawn, "found": found})
    queries = [each for each in told if not each["control"]][:PROMPTS]
    return [*queries, *(each for each in told if each["control"])]


def _file(path: Path) -> str:
    if not path.is_file():
        return ""
    return data_uri(open_picture(path), SIDE)
