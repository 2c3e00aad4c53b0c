"""The report of a finished run: one HTML file that needs no network, tables and figures."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from PIL import Image

from untrain.files import write_json, write_text
from untrain.report import tables
from untrain.report.figures import Plot, figures, strip
from untrain.report.tables import PRIMARY, Run, arm_order, interval, number, p_value

TOP = 10
LARGEST_SIDE = 176  # twice what the page shows, for fine screens
BUDGET = 11_000_000  # bytes of pictures; with base64 the page stays below 15 MB


def write_report(run: Path) -> Path:
    """Write ``report.html``, ``results/summary.md`` and ``.json`` and the figures of a run.

    Parameters
    ----------
    run : Path
        The folder of a finished run; nothing else is read.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    InputError
        If the folder does not hold a finished run.
    """
    data = tables.read_run(Path(run))
    plots = figures(data)
    for plot in plots:
        write_text(data.folder / "results" / "figures" / f"{plot.name}.svg", plot.svg)
    write_text(data.folder / "results" / "summary.md", tables.markdown(data))
    write_json(data.folder / "results" / "summary.json", summary(data))
    page = data.folder / "report.html"
    write_text(page, render(data, plots))
    return page


def summary(run: Run) -> dict[str, Any]:
    """Return the run in a few figures, as JSON can hold them."""
    overall = tables.overall_table(run.effects)
    return {
        "answer": tables.answer(run.effects, run.verdicts),
        "design": run.designs[0],
        "overall": [
            {str(key): _plain(value) for key, value in row.items()}
            for row in overall.to_dict(orient="records")
        ],
        "verdicts": tables.verdict_counts(run.verdicts),
        "quality": run.meta.get("quality"),
        "seconds": {name: stage.get("seconds") for name, stage in _stages(run).items()},
        "warnings": tables.warnings(run),
    }


def _plain(value: Any) -> Any:
    """JSON knows neither NaN nor infinity."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _stages(run: Run) -> dict[str, dict[str, Any]]:
    return run.meta.get("stages") or {}


def render(run: Run, plots: list[Plot]) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("untrain", "report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(number=number)
    package = resources.files("untrain.report")
    script = package.joinpath("report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    pictures = Pictures()
    cards = prompt_cards(run, pictures)
    notes = tables.warnings(run) + _missing_pictures(cards, pictures)
    return environment.get_template("report.html.j2").render(
        title=run.meta.get("name") or run.folder.name,
        style=Markup(package.joinpath("report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=digest,
        answer=tables.answer(run.effects, run.verdicts),
        warnings=notes,
        verdicts=tables.verdict_counts(run.verdicts),
        facts=facts(run),
        seconds=[(n, _duration(s.get("seconds"))) for n, s in _stages(run).items()],
        design=run.designs[0],
        overall=tables.overall_rows(tables.overall_table(run.effects)),
        others=tables.other_rows(tables.other_table(run.effects)),
        prompts=[
            (f"prompt-{line.prompt_id}", row)
            for line, row in _with_rows(tables.prompt_table(run))
        ],
        plots=[(plot, Markup(plot.inline)) for plot in plots],
        cards=cards,
        page_details=details(run),
    )


def _with_rows(table: pd.DataFrame) -> list[tuple[Any, tuple[str, ...]]]:
    return list(zip(table.itertuples(), tables.prompt_rows(table), strict=True))


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what was run, as a list of terms and what they were."""
    catalog, quality = run.meta.get("catalog") or {}, run.meta.get("quality")
    controls = int((run.prompts["role"] == "control").sum())
    data = [f"{catalog[key]:,} {words}" for key, words in _CATALOG.items() if _count(catalog, key)]
    found = [
        ("Data", ", ".join([str(catalog.get("name", "unknown")), *data])),
        ("Prompts", f"{len(run.prompts) - controls}" + (f" and {controls} controls" * bool(controls))),
        ("Models", _models(run)),
        ("Seeds", _inline(run.meta.get("seeds"))),
        ("Ranking", str((run.config.get("ranking") or {}).get("method", ""))),
    ]
    if isinstance(quality, dict):
        passed = "passed" if quality.get("passed") else "not passed"
        scores = _inline({k: v for k, v in quality.items() if k != "passed"})
        found.append(("Quality gate", f"{passed} ({scores})" if scores else passed))
    total = sum(float(stage.get("seconds") or 0) for stage in _stages(run).values())
    found.append(("Time", _duration(total)))
    return [(term, text) for term, text in found if text]


_CATALOG = {
    "images": "images",
    "heldout": "held out",
    "skipped": "skipped",
    "duplicate_groups": "groups of copies",
}


def _count(catalog: dict[str, Any], key: str) -> bool:
    return isinstance(catalog.get(key), int) and catalog[key] > 0


def _models(run: Run) -> str:
    if run.models.empty:
        return ""
    names = [m for m in run.models["model_id"] if m != "A"]
    how = "paired, without a random half of all sets each" if run.designs[0] == "randomised" else ""
    how = how or ", ".join(names)
    return ("one that drew the pictures; " * (len(names) < len(run.models))) + f"{len(names)} {how}"


def _inline(values: Any) -> str:
    if not isinstance(values, dict):
        return "" if values is None else str(values)
    shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in values.items()}
    return ", ".join(f"{str(key).replace('_', ' ')} {value}" for key, value in shown.items())


def details(run: Run) -> list[tuple[str, str]]:
    """Return the machine, the versions and the fingerprints, for who wants to repeat the run."""
    names = ("machine", "threads", "versions", "fingerprints", "schema_version")
    found = [(name.replace("_", " "), _inline(run.meta.get(name))) for name in names]
    return [(name, text) for name, text in found if text]


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return "—"
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Pictures:
    """Pictures as data URIs, each read once, within a budget for the whole page."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.left = budget
        self.dropped = 0
        self._known: dict[Path, str] = {}

    def uri(self, folder: Path, name: str) -> str:
        """Return a data URI, or "" if there is no such picture below ``folder`` or no room."""
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return ""
        if path not in self._known:
            self._known[path] = _data_uri(path)
        uri = self._known[path]
        if len(uri) > self.left:
            self.dropped += 1
            return ""
        self.left -= len(uri)
        return uri


def _data_uri(path: Path) -> str:
    """Small pictures stay the PNG they are; large ones, photographs mostly, become small JPEGs."""
    data, kind = path.read_bytes(), "png"
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > LARGEST_SIDE or len(data) > 24_000:
                image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
                buffer = io.BytesIO()
                image.convert("RGB").save(buffer, "JPEG", quality=88)
                data, kind = buffer.getvalue(), "jpeg"
    except (OSError, ValueError, SyntaxError):
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def prompt_cards(run: Run, pictures: Pictures) -> list[dict[str, Any]]:
    """Return one card a prompt, the strongest effect first."""
    captions = dict(zip(run.captions["image_id"], run.captions["caption"], strict=True))
    arms = _arm_bars(run)
    cards = []
    order = {prompt_id: i for i, prompt_id in enumerate(run.prompts["prompt_id"])}
    for line in tables.prompt_table(run).itertuples():
        folder = run.folder / "queries"
        cards.append(
            {
                "id": line.prompt_id,
                "anchor": f"prompt-{line.prompt_id}",
                "prompt": line.prompt,
                "family": line.family,
                "control": line.role == "control",
                "verdict": line.verdict,
                "reason": line.reason,
                "order": order[line.prompt_id],
                "effect": line.effect if math.isfinite(line.effect) else -1e9,
                "words": _effect_words(line),
                "arms": arms.get(line.prompt_id, []),
                "drawn": _drawn(folder, line.prompt_id, pictures),
                "reference": pictures.uri(folder, f"{line.prompt_id}/reference.png"),
                "influential": influential(run, line.prompt_id, line.family, captions, pictures),
                "again": redrawn(run, line.prompt_id, pictures),
            }
        )
    return cards


def _effect_words(line: Any) -> str:
    if not math.isfinite(line.effect):
        return ""
    ends = interval(line.low, line.high)
    inside = ", ".join(
        part for part in (f"95 % interval {ends}" if ends != "—" else "", p_value(line.p)) if part
    )
    way = "worse" if line.effect >= 0 else "better"
    return f"{number(abs(line.effect))} bits/token {way} without" + (f" ({inside})" if inside else "")


def _arm_bars(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return, for each prompt, its effect by arm, placed on a scale that all cards share."""
    chosen, naive = run.designs
    rows = run.effects[(run.effects["prompt_id"] != "") & (run.effects["measure"] == PRIMARY)]
    against_a = rows[rows["design"] == naive].drop_duplicates(["prompt_id", "arm", "k"])
    other = {(r.prompt_id, r.arm, str(r.k)): r.estimate for r in against_a.itertuples()}
    rows = rows[rows["design"] == chosen]
    rows = rows.sort_values(["arm", "k"], key=lambda c: c.map(arm_order) if c.name == "arm" else c)
    zero, bars = strip(rows[["estimate", "low", "high"]])
    cards: dict[str, list[dict[str, Any]]] = {}
    for line, bar in zip(rows.itertuples(), bars, strict=True):
        entry = {
            "arm": line.arm if math.isnan(line.k) else f"{line.arm}, {line.k:g}",
            "effect": number(line.estimate, 3),
            "interval": interval(line.low, line.high, 3),
            "p": p_value(line.p_value),
            "naive": number(other.get((line.prompt_id, line.arm, str(line.k)), math.nan), 3),
            "zero": zero,
            **bar,
        }
        cards.setdefault(line.prompt_id, []).append(entry)
    return cards


def _drawn(folder: Path, prompt_id: str, pictures: Pictures) -> list[tuple[str, str]]:
    """Return (number, data URI) of the numbered pictures of one prompt, in order."""
    inside = (folder / prompt_id).resolve()
    if not inside.is_relative_to(folder.resolve()) or not inside.is_dir():
        return []
    names = sorted((p.stem for p in inside.glob("*.png") if p.stem.isdecimal()), key=int)
    return [(name, pictures.uri(folder, f"{prompt_id}/{name}.png")) for name in names]


def influential(
    run: Run, prompt_id: str, family: str, captions: dict[str, str], pictures: Pictures
) -> list[dict[str, Any]]:
    """Return the training images that the run's ranking method puts first for a prompt."""
    rows = run.ranking[run.ranking["prompt_id"] == prompt_id]
    method = (run.config.get("ranking") or {}).get("method")
    method = method if (rows["method"] == method).any() else next(iter(rows["method"]), "")
    rows = rows[rows["method"] == method].sort_values("rank", kind="stable").head(TOP)
    families = _families(run)
    own = set(
        run.forget_sets.loc[
            (run.forget_sets["arm"] == "family") & (run.forget_sets["prompt_id"] == prompt_id),
            "image_id",
        ]
    )
    return [
        {
            "id": line.image_id,
            "caption": captions.get(line.image_id, ""),
            "score": number(line.score, 3),
            "place": place,
            "family": (family and families.get(line.image_id) == family) or line.image_id in own,
            "uri": pictures.uri(run.folder / "thumbnails", f"{line.image_id}.png"),
        }
        for place, line in enumerate(rows.itertuples(), start=1)
    ]


def _families(run: Run) -> dict[str, str]:
    """Families of training images, where the captions' table knows them."""
    if "family" not in run.captions:
        return {}
    return dict(zip(run.captions["image_id"], run.captions["family"], strict=True))


def redrawn(run: Run, prompt_id: str, pictures: Pictures) -> list[dict[str, Any]]:
    """Return the pictures that a model with the prompt's set, and one without it, drew again.

    The first pair of one seed, so that the two share noise, weights at the start and batches.
    """
    sets = run.forget_sets[
        (run.forget_sets["prompt_id"] == prompt_id)
        & (run.forget_sets["arm"] == tables.main_arm(run.effects))
    ]
    if sets.empty:
        return []
    chosen = sets["forget_set_id"].iloc[-1]
    without = set(run.removals.loc[run.removals["forget_set_id"] == chosen, "model_id"])
    folder = run.folder / "generations"
    drew = run.models[[(folder / m / prompt_id).is_dir() for m in run.models["model_id"]]]
    drew = drew[drew["model_id"] != "A"]
    outs = drew[drew["model_id"].isin(without)]
    ins = drew[~drew["model_id"].isin(without)]
    pairs = [(i, o) for i in ins.itertuples() for o in outs.itertuples() if i.seed == o.seed]
    pairs = pairs or list(zip(ins.itertuples(), outs.itertuples(), strict=False))
    if not pairs:
        return []
    labels = ("trained with them", "trained without them")
    return [
        {
            "label": label,
            "model": model.model_id,
            "pictures": _drawn(folder / model.model_id, prompt_id, pictures),
        }
        for label, model in zip(labels, pairs[0], strict=True)
    ]


def _missing_pictures(cards: list[dict[str, Any]], pictures: Pictures) -> list[str]:
    """Say which pictures the page could not show."""
    found = []
    shown = [image for card in cards for image in card["influential"]]
    missing = sum(not image["uri"] for image in shown) - pictures.dropped
    if missing > 0:
        found.append(
            f"{missing} of {len(shown)} thumbnails of training images are not in the run folder; "
            "their ids and captions stand in for them."
        )
    if pictures.dropped:
        found.append(
            f"{pictures.dropped} pictures are left out to keep this page small; they are in the "
            "run folder."
        )
    return found
