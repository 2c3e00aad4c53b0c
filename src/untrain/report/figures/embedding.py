"""Figure of where generated pictures lie among the training images they were compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from untrain.core.files import read_json, rng
from untrain.report.figures.style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    WIDTH,
    Plot,
    dots,
    legend,
    plot,
    short,
)
from untrain.report.model_pairs import chosen_sets
from untrain.report.ranking import near_the_top
from untrain.report.tables.effects import prompt_table
from untrain.runs.results import RunResults

PANELS = 9
BACKGROUND = 250  # dots of other prompts' candidates in each panel


@dataclass(frozen=True)
class Projection:
    """Candidates, chosen images and generated pictures on one plane.

    Attributes
    ----------
    points : DataFrame
        ``prompt_id``, ``name``, ``kind`` (candidate, chosen or generated), ``x``, ``y``.
    share : float
        Of the variance of training images, which the plane holds.
    """

    points: pd.DataFrame
    share: float


def projection(run: RunResults) -> Projection | str:
    """Project pictures by their codes in the generator's frozen autoencoder, which the run keeps.

    The plane is that of the first two principal components of the training images that were
    candidates or chosen. Codes are centred digits of the tokens (finite scalar quantisation).
    """
    tokens = _training_tokens(run)
    path = run.folder / "queries.safetensors"
    if tokens is None or not path.is_file():
        return "this run has no codes of its pictures"
    from untrain.core.tensors import read_arrays

    codes, levels = tokens
    ours = [(p, i, "chosen") for p, ids in chosen_sets(run).items() for i in ids]
    every = near_the_top(run, run.ranking)[["prompt_id", "image_id"]]
    every = every.drop_duplicates().assign(kind="candidate")
    images = pd.concat([pd.DataFrame(ours, columns=list(every)), every], ignore_index=True)
    images = images.drop_duplicates(["prompt_id", "image_id"])
    images = images[images["image_id"].isin(codes)].rename(columns={"image_id": "name"})
    drawn = {key: tokens for key, tokens in read_arrays(path).items() if not _is_reference(key)}
    if images.empty or not drawn:
        return "this run has no codes of its candidates or generated pictures"
    names = images["name"].unique()
    known = unpack(np.stack([codes[name] for name in names]), levels)
    plane, centre, share = _principal_plane(known)
    places = pd.DataFrame((known - centre) @ plane, index=names, columns=["x", "y"])
    images = images.join(places, on="name")
    keys = [key.rsplit("/", 1) for key in drawn]
    generated = pd.DataFrame(keys, columns=["prompt_id", "name"]).assign(kind="generated")
    found = (unpack(np.stack(list(drawn.values())), levels) - centre) @ plane
    generated[["x", "y"]] = found
    return Projection(pd.concat([images, generated], ignore_index=True), share)


def _is_reference(key: str) -> bool:
    return not key.rsplit("/", 1)[1].isdecimal()


def _principal_plane(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the first two principal axes (d, 2), the centre, and their share of the variance."""
    centre = features.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(features - centre, rowvar=False))
    plane = axes[:, :-3:-1]
    plane = plane * np.sign(plane[np.abs(plane).argmax(axis=0), [0, 1]])  # one of the two signs
    return plane, centre, float(variances[-2:].sum() / max(variances.sum(), 1e-12))


def unpack(tokens: np.ndarray, levels: list[int]) -> np.ndarray:
    """Return tokens (n, positions) as centred digits in [−1, 1], float (n, positions · digits)."""
    sizes = np.array(levels)
    digits = tokens[..., None] // np.cumprod([1, *levels[:-1]]) % sizes
    return (digits / (sizes - 1) * 2 - 1).reshape(len(tokens), -1)


def _training_tokens(run: RunResults) -> tuple[dict[str, np.ndarray], list[int]] | None:
    """Return the tokens of every training image by id, and the levels of the autoencoder."""
    from untrain.core.tensors import read_arrays

    ids = run.catalog["image_id"]
    for folder in sorted((run.folder / "shared").glob("*/")):
        if (folder / "tokens.safetensors").is_file() and _is_of(run, folder):
            levels = read_json(folder / "shared.json")["recipe"]["levels"]
            tokens = read_arrays(folder / "tokens.safetensors")["image"]
            if len(ids) == len(tokens):
                return dict(zip(ids, tokens, strict=True)), levels
    return None


def _is_of(run: RunResults, folder: Path) -> bool:
    """Whether frozen parts are those of the run's models; settings may have changed since."""
    if not (folder / "shared.json").is_file():
        return False
    frozen: dict[str, Any] = read_json(folder / "shared.json")
    ours = (run.meta.get("fingerprints") or {}).get("catalog")
    preset: dict[str, Any] = next((read_json(p)["preset"] for p in _model_files(run)), {})
    recipe = frozen.get("recipe", {})
    return frozen.get("catalog") == ours and all(preset.get(k, v) == v for k, v in recipe.items())


def _model_files(run: RunResults) -> list[Path]:
    paths = [run.folder / "models" / name / "model.json" for name in run.models["fingerprint"]]
    return [path for path in paths if path.is_file()]


def embedding_map(run: RunResults) -> Plot | str:
    """Where each prompt's pictures lie among the training images, a panel a prompt."""
    found = projection(run)
    if isinstance(found, str):
        return found
    points = found.points
    shown = _shown(run, points)
    columns = min(3, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = Figure((WIDTH, 0.5 + 2.05 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    everyone = points[points["kind"] != "generated"].drop_duplicates("name")
    some = rng("embedding-map").permutation(len(everyone))[:BACKGROUND]
    everyone = everyone.iloc[some]
    for axes, prompt_id in zip(panels.flat, shown, strict=False):
        _panel(axes, everyone, points[points["prompt_id"] == prompt_id])
        title = _two_lines(f"{short(prompt_id, 8)}  {run.texts.get(prompt_id, '')}")
        axes.set_title(title, fontsize=7.5, loc="left")
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    keys = {
        "generated": ("D", ORANGE, ORANGE),
        "chosen": ("o", BLUE, BLUE),
        "other candidates": (".", INK, INK),
        "of other prompts": (".", FAINT, FAINT),
    }
    legend(panels.flat[0], keys)
    near = sum(_nearer(points[points["prompt_id"] == prompt_id]) for prompt_id in shown)
    of = len(set(points.loc[points["kind"] == "generated", "prompt_id"]))
    some_of = f" Shown are {len(shown)} of {of} prompts, spread over the order of effects." * (
        len(shown) < of
    )
    return plot(
        figure,
        "embedding-map",
        "Where the pictures lie among the training images",
        "The same map for each prompt: near means similar in the codes of the generator’s "
        "autoencoder. Orange diamonds are the pictures drawn for the prompt, blue dots the images "
        "chosen for it, small ones its other candidates, faint ones those of other prompts. Blue "
        "around orange: the search found images that resemble the pictures. The plane spans the "
        f"first two principal components, {found.share:.0%} of the variance, so points that are "
        f"close here may still differ.{some_of if len(shown) < of else ''}",
        f"Maps of {len(shown)} prompts. For {near} of them the chosen images lie nearer to the "
        "middle of the generated pictures than the other candidates do, by the median.",
    )


def _panel(axes: Axes, everyone: pd.DataFrame, own: pd.DataFrame) -> None:
    """Draw the map of one prompt."""
    kinds = {kind: own[own["kind"] == kind] for kind in ("candidate", "chosen", "generated")}
    for part, size, colour, alpha in (
        (everyone, 1.4, FAINT, 0.45),
        (kinds["candidate"], 1.9, INK, 0.85),
    ):
        dots(axes, part["x"].to_numpy(), part["y"].to_numpy(), colour, size, alpha)
    for kind, mark, colour in (("chosen", "o", BLUE), ("generated", "D", ORANGE)):
        part = kinds[kind]
        axes.plot(part["x"], part["y"], mark, color=colour, ms=4.3, mew=0, alpha=0.85)
    axes.set(xticks=[], yticks=[])
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(True)
        axes.spines[side].set_alpha(0.4)


def _shown(run: RunResults, points: pd.DataFrame) -> list[str]:
    """Return at most `PANELS` prompts, evenly spread over the order of effects."""
    drawn = set(points.loc[points["kind"] == "generated", "prompt_id"])
    order = [p for p in prompt_table(run)["prompt_id"] if p in drawn]
    places = np.linspace(0, len(order) - 1, min(PANELS, len(order))).round().astype(int)
    return [order[place] for place in places]


def _nearer(own: pd.DataFrame) -> bool:
    """Whether the chosen images are nearer to the generated ones than other candidates are."""
    places = {kind: part[["x", "y"]].to_numpy() for kind, part in own.groupby("kind")}
    if len(places) < 3:
        return False
    middle = places["generated"].mean(axis=0)
    chosen, rest = (
        np.median(np.linalg.norm(places[kind] - middle, axis=1)) for kind in ("chosen", "candidate")
    )
    return bool(chosen < rest)


def _two_lines(text: str, width: int = 25) -> str:
    """Break a prompt after whole words into two lines at most."""
    line = short(text, 2 * width)
    if len(line) <= width:
        return line
    at = line.rfind(" ", 0, width + 1)
    at = at if at > 0 else width
    return f"{line[:at]}\n{short(line[at:], width)}"
