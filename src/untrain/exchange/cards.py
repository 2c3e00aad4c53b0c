"""Cards for the Hugging Face hub: what was measured of a run's model, and of its data.

The front matter is what the hub reads (https://huggingface.co/docs/hub/model-cards); results stand
in its ``model-index`` only where nothing forbids to read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from untrain.core.text import markdown as escaped
from untrain.core.text import markdown_prose
from untrain.report.arms import arm_words
from untrain.report.headline import headline
from untrain.report.tables.effects import overall_table
from untrain.report.tables.markdown import markdown
from untrain.runs.results import RunResults, read_results

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
NAMES = ("1K", "10K", "100K", "1M", "10M")
LICENCE = "# license: … — untrain does not know it: state yours\n"

MODEL = """\
{front}
# {name}

A text-to-image model ({generator}) trained on {images:,} captioned images ({data}), and what its
pictures owe to them, measured by untrain: {models} further
models were trained without some of the images and compared with others that had them.
{warning}
{body}
## How it was measured

untrain {untrain}, PyTorch {torch}; seed {seed_a} for the model, {seed_b} for the models compared;
design: {design}. Data: fingerprint `{fingerprint}`. An effect is how much worse models without the
images are at the pictures, in {unit}; above 0 the images mattered to them. It says what training
without the images does to this model, under this recipe; it says nothing of authorship or
infringement.
"""

DATASET = """\
{front}
# {name}

{images:,} captioned images, as a model was trained on them. Fingerprint of their content:
`{fingerprint}`.

| what | how many |
|---|--:|
{facts}

{excluded}
## What a model learnt from them

By untrain, on {prompts} prompts ({models} models):
{warning}
{body}
Images and captions keep the licences that they have; this card does not change them.
"""


def model_card(folder: Path) -> str:
    """Return the ``README.md`` of a run's model A on the hub.

    Parameters
    ----------
    folder : Path
        Of a finished run.

    Raises
    ------
    InputError
        The run is not finished.
    """
    run = read_results(folder)
    meta, data = run.meta, run.meta.get("catalog") or {}
    name = str(meta.get("name") or folder.name)
    front: dict[str, Any] = {
        "pipeline_tag": "text-to-image",
        "tags": ["untrain", "data-attribution", str(run.generator.get("name", "generator"))],
    }
    if results := _results(run):
        dataset = {"name": str(data.get("name", "training data")), "type": _slug(data)}
        front["model-index"] = [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "text-to-image"},
                        "dataset": dataset,
                        "metrics": results,
                    }
                ],
            }
        ]
    versions, seeds = meta.get("versions") or {}, meta.get("seeds") or {}
    return MODEL.format(
        **_common(run, front, name),
        generator=escaped(run.generator.get("name", "of an unknown kind")),
        data=escaped(data.get("name", "of an unknown name")),
        untrain=versions.get("untrain", "of an unknown version"),
        torch=versions.get("torch", "of an unknown version"),
        seed_a=seeds.get("a", "?"),
        seed_b=seeds.get("b", "?"),
        design=meta.get("design", "none"),
        unit=run.unit,
    )


def dataset_card(folder: Path) -> str:
    """Return the ``README.md`` of a run's training data on the hub.

    Parameters
    ----------
    folder : Path
        Of a finished run.

    Raises
    ------
    InputError
        The run is not finished.
    """
    run = read_results(folder)
    data = run.meta.get("catalog") or {}
    images = _images(run)
    front = {
        "pretty_name": str(data.get("name", folder.name)),
        "task_categories": ["text-to-image"],
        "size_categories": [_size(images)],
        "tags": ["untrain", "image-text"],
    }
    captions = run.catalog["caption"]
    facts = {
        "pairs of an image and a caption": images,
        "held out, not trained on": int(data.get("heldout", 0)),
        "different captions": int(captions.nunique()),
        "different images, by content": int(run.catalog["content"].nunique()),
        "groups of identical images": int(data.get("duplicate_groups", 0)),
        "files that could not be read": int(data.get("skipped", 0)),
    }
    return DATASET.format(
        **_common(run, front, str(front["pretty_name"])),
        facts="\n".join(f"| {what} | {count:,} |" for what, count in facts.items()),
        excluded=_excluded(data.get("excluded") or []),
        prompts=len(run.prompts),
    )


def _common(run: RunResults, front: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what both cards say."""
    told = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return {
        "front": f"---\n{LICENCE}{told}---\n",
        "name": escaped(name),
        "images": _images(run),
        "models": len(run.models),
        "fingerprint": (run.meta.get("fingerprints") or {}).get("catalog", "unknown"),
        "warning": _warning(run),
        "body": markdown(run).partition("\n")[2].strip() + "\n",  # the card has a title already
    }


def _images(run: RunResults) -> int:
    return int((run.meta.get("catalog") or {}).get("images", len(run.catalog)))


def _warning(run: RunResults) -> str:
    """Return what stands above all figures where they cannot be read as results."""
    doubtful = headline(run)
    if run.given or not doubtful:
        return ""
    why = " ".join(map(markdown_prose, doubtful))
    return f"\n> **Do not read the figures below as results.** {why}\n"


def _results(run: RunResults) -> list[dict[str, Any]]:
    """Return metrics for ``model-index``; none where a warning forbids to read them."""
    if run.given or headline(run):
        return []
    metrics: list[dict[str, Any]] = []
    table = overall_table(run.effects)
    for row in table[table["effect"].notna()].to_dict("records"):
        size = "" if pd.isna(row["k"]) else f", k = {row['k']:.0f}"
        metrics.append(
            {
                "type": f"removal-effect-{row['arm']}",
                "name": f"worse without {arm_words(row['arm'], row['k'])}, {run.unit}{size}",
                "value": round(float(row["effect"]), 4),
                "args": {
                    name: round(float(row[name]), 4)
                    for name in ("low", "high", "p_value")
                    if pd.notna(row[name])
                },
            }
        )
    copies = run.meta.get("copies") or {}
    if "near_copies" in copies:
        metrics.append(
            {
                "type": "near-copies",
                "name": f"near copies among {copies.get('queries', '?')} pictures",
                "value": int(copies["near_copies"]),
            }
        )
    return metrics


def _excluded(excluded: list[Any]) -> str:
    """Return what was left out at somebody's wish, as the run recorded it."""
    if not excluded:
        return "Nothing was excluded by an opt-out list or a reservation.\n"
    # A list is named, not where it lies.
    lines = [
        f"- {escaped(Path(str(each['source'])).name)}: {each['images']:,} images"
        for each in excluded
    ]
    return "Excluded before training:\n\n" + "\n".join(lines) + "\n"


def _slug(data: dict[str, Any]) -> str:
    """Return a data set's name as the hub wants one: without blanks."""
    words = str(data.get("name", "training-data")).replace(",", " ").split()
    return "-".join(words).lower()


def _size(images: int) -> str:
    """Return the hub's category of a number of images.

    Examples
    --------
    >>> _size(300), _size(44_072)
    ('n<1K', '10K<n<100K')
    """
    below = [n for n, limit in enumerate(SIZES) if images < limit]
    if not below:
        return "n>10M"
    first = below[0]
    return "n<1K" if first == 0 else f"{NAMES[first - 1]}<n<{NAMES[first]}"
