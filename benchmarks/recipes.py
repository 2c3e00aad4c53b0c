"""Does a change of the reference model's recipe pay, at equal training time?

Every recipe of `recipe_variants.py` is trained on the demo's catalogue, or on what the models of
``--experiment`` are trained on, less a tenth that is held out, for as long as the base is: its step
is timed against the base's, in turns and in processor seconds, and it gets as many epochs as fit
(rounded; the share of the base's time that it took is in the table). Rows are kept in ``--rows`` as
they come, so that an interrupted table goes on::

    python benchmarks/recipes.py autoencoder --rows recipes.csv
    python benchmarks/recipes.py transformer --rows recipes.csv --seeds 0 1 --only base "batch 8"
    python benchmarks/recipes.py both --rows recipes.csv --seeds 0 1
    python benchmarks/recipes.py both --rows small.csv --preset small --experiment my-photos.yaml

Measured: PSNR of held-out pictures drawn again by the autoencoder, the Fréchet distance of all that
it draws again, nats an image token of held-out pairs (to be compared among models with the same
codes only); of four pictures a held-out caption the right article and colour, and whether the
nearest real picture is of the prompt's family, where the data say what family a picture is of; the
Fréchet distance of one picture for each caption of the catalogue. Distances are to the real
pictures, over the 64 principal components of the layout encoder's features, times 1,000.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from recipe_variants import AUTOENCODERS, BOTH, TRANSFORMERS, Recipe, patched
from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered.catalog import rendered
from untrain.catalogs.split import hold_out
from untrain.core.atomic import atomic_file
from untrain.core.files import fingerprint
from untrain.encoders import load_encoder
from untrain.evaluation.quality import judge_pictures
from untrain.evaluation.quality.distances import frechet_distance
from untrain.generators.base import Noise
from untrain.generators.dalle import autoencoder as ae
from untrain.generators.dalle import training
from untrain.generators.dalle.presets import Preset, preset_of
from untrain.generators.dalle.tokenizer import encode_captions, train_tokenizer
from untrain.generators.dalle.transformer import Transformer, log_likelihood, sample
from untrain.generators.noise import noise_batch
from untrain.runs.run import Run
from untrain.settings.load import load_config

COMPONENTS, PICTURES, STEPS = 64, 4, 10
STAGES = {"autoencoder": AUTOENCODERS, "transformer": TRANSFORMERS, "both": BOTH}
SAMPLING = {"guidance": 1.0, "temperature": 1.0, "top_k": 1.0}  # what training does not depend on


@dataclass(frozen=True)
class Setting:
    """What recipes are tried on: the data of an experiment file (the demo's if ""), a seed."""

    experiment: str
    seed: int
    scratch: Path = field(compare=False)


def nowhere(n: int) -> None:
    """Take a report of progress."""


@cache
def data(at: Setting) -> tuple[Catalog, Catalog, Catalog]:
    """Return the catalogue, the part to train on and the part held out."""
    given = at.experiment
    catalog = Run(load_config(given)).catalog if given else rendered(144, 12, seed=0)
    return catalog, *hold_out(catalog, 0.1, at.seed)


class Features:
    """The layout encoder's features, on their principal components among real pictures."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.encoder = load_encoder("layout")
        rows = self.encoder.encode(list(pixels)).astype(np.float64)
        self.mean = rows.mean(0)
        self.axes = np.linalg.svd(rows - self.mean, full_matrices=False)[2][:COMPONENTS].T

    def project(self, pixels: np.ndarray) -> np.ndarray:
        """Return the components of uint8 pictures (n, h, w, 3), float64 (n, COMPONENTS)."""
        return (self.encoder.encode(list(pixels)) - self.mean) @ self.axes


@cache
def features(size: tuple[int, int], at: Setting) -> Features:
    """Return the features fitted on all real pictures at a model's size."""
    return Features(data(at)[0].pixels(size))


def frechet(real: np.ndarray, drawn: np.ndarray, module: Features) -> float:
    """Return 1,000 times the Fréchet distance of uint8 pictures (n, h, w, 3)."""
    return 1000 * frechet_distance(module.project(real), module.project(drawn))


def codes_of(preset: Preset, patch: str, at: Setting) -> Path:
    """Return the place of what is kept of a recipe's autoencoder, without a suffix."""
    given = (at.experiment,) if at.experiment else ()
    return at.scratch / fingerprint(preset.autoencoder_part(), patch, at.seed, *given)


def train_autoencoder(preset: Preset, patch: str, at: Setting) -> ae.Autoencoder:
    """Train the autoencoder of a recipe, or read it from ``scratch``."""
    path = codes_of(preset, patch, at).with_suffix(".safetensors")
    with patched(patch):
        if not path.exists():
            pixels = data(at)[1].pixels((preset.height, preset.width))
            model = ae.train_autoencoder(pixels, preset, at.seed, nowhere)
            weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
            with atomic_file(path) as temporary:
                save_file(weights, temporary)
        model = ae.Autoencoder(preset)
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(False)


def train_transformer(
    text: np.ndarray,
    image: np.ndarray,
    words: int,
    preset: Preset,
    patch: str,
    seed: int,
    kept: Path,
) -> Transformer:
    """Train the transformer of a recipe on tokens, or read it from beside ``kept``."""
    recipe = replace(preset, **SAMPLING).to_dict()
    path = kept.parent / f"{fingerprint(kept.name, recipe, patch, seed)}.safetensors"
    with patched(patch):
        if not path.exists():
            everything = training.TokenData(text, image, np.ones(len(text), bool), words)
            model, _ = training.train_transformer(everything, preset, seed, nowhere)
            with atomic_file(path) as temporary:
                save_file(model.state_dict(), temporary)
        model = training.Transformer(preset, words)
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(False)


def step_cost(preset: Preset, patch: str, part: str, at: Setting) -> float:
    """Return processor seconds a pair of a short training of one part."""
    one = replace(preset, epochs=1, epochs_ae=1)
    batch = preset.batch_ae if part == "autoencoder" else preset.batch
    pairs = max(1, STEPS * 16 // batch) * batch
    train = data(at)[1]
    text = np.random.default_rng(0).integers(1, 594, (pairs, 18))
    image = np.random.default_rng(0).integers(0, preset.codes, (pairs, preset.positions))
    pixels = train.pixels((preset.height, preset.width), train.ids[:pairs])
    start = time.process_time()
    with patched(patch):
        if part == "autoencoder":
            ae.train_autoencoder(pixels, one, 0, nowhere)
        else:
            everything = training.TokenData(text, image, np.ones(pairs, bool), 594)
            training.train_transformer(everything, one, 0, nowhere)
    return (time.process_time() - start) / pairs


def relative_cost(base: Preset, recipe: Recipe, part: str, at: Setting) -> float:
    """Return how many times the base's seconds a pair costs, the least of some turns each."""
    other = replace(base, **recipe.changes)
    if replace(other, **SAMPLING) == replace(base, **SAMPLING) and not recipe.patch:
        return 1.0
    turns = [
        (step_cost(base, "", part, at), step_cost(other, recipe.patch, part, at)) for _ in range(4)
    ]
    least = np.min(turns, axis=0)
    return float(least[1] / least[0])


def measure(preset_name: str, stage: str, recipe: Recipe, at: Setting) -> dict:
    """Train a recipe for as long as the base and return its row."""
    torch.set_num_threads(1)
    base = preset_of(preset_name)
    preset = replace(base, **recipe.changes)
    row: dict[str, Any] = {"stage": stage, "recipe": recipe.name, "seed": at.seed}
    cost_ae = relative_cost(base, recipe, "autoencoder", at) if stage != "transformer" else 1.0
    cost = relative_cost(base, recipe, "transformer", at) if stage != "autoencoder" else 1.0
    preset = replace(
        preset,
        epochs_ae=max(1, round(base.epochs_ae / cost_ae)),
        epochs=max(1, round(base.epochs / cost)),
    )
    row |= {"epochs_ae": preset.epochs_ae, "share_ae": preset.epochs_ae * cost_ae / base.epochs_ae}
    patches = ("", recipe.patch) if stage == "transformer" else (recipe.patch, "")
    row |= reconstruction(preset, patches[0], at)
    if stage != "autoencoder":
        row |= {"epochs": preset.epochs, "share": preset.epochs * cost / base.epochs}
        row |= generation(preset, *patches, at)
    return row


def reconstruction(preset: Preset, patch: str, at: Setting) -> dict[str, float]:
    """Train the autoencoder and return what is measured of it."""
    catalog, train, held = data(at)
    size = preset.height, preset.width
    model = train_autoencoder(preset, patch, at)
    used = np.bincount(ae.encode(model, train.pixels(size)).ravel(), minlength=preset.codes)
    share = used[used > 0] / used.sum()
    real = catalog.pixels(size)
    rebuilt = ae.decode(model, ae.encode(model, real), preset.grid)
    return {
        "psnr": 10 * np.log10(4 / ae.reconstruction_error(model, held.pixels(size), preset.grid)),
        "codes": len(share),
        "codes_even": float(np.exp(-(share * np.log(share)).sum())),
        "rebuilt_fd": frechet(real, rebuilt, features(size, at)),
    }


def generation(preset: Preset, patch_ae: str, patch: str, at: Setting) -> dict[str, float]:
    """Train the transformer and return what is measured of it and of what it draws."""
    catalog, train, held = data(at)
    size = preset.height, preset.width
    model_ae = train_autoencoder(preset, patch_ae, at)
    image, image_held = (ae.encode(model_ae, c.pixels(size)) for c in (train, held))
    tokenizer = train_tokenizer(train.captions, preset.vocabulary)
    everything = encode_captions(tokenizer, [*train.captions, *held.captions], preset.text_limit)
    text, text_held = np.split(everything, [len(train)])
    codes = codes_of(preset, patch_ae, at)
    data_of = text, image, tokenizer.get_vocab_size()
    model = train_transformer(*data_of, preset, patch, at.seed, codes)
    one_each = [(image_id, 0) for image_id in (*train.ids, *held.ids)]
    of_held = [(image_id, number) for image_id in held.ids for number in range(1, PICTURES + 1)]

    kind = Noise("gumbel", (preset.positions, preset.codes))

    def draw(prompts: np.ndarray, keys: list[tuple[str, int]]) -> np.ndarray:
        drawn = []
        for i in range(0, len(keys), 256):  # in parts: noise is large
            noise = noise_batch(kind, at.seed, keys[i : i + 256])
            drawn.append(sample(model, prompts[i : i + 256], noise, preset))
        return ae.decode(model_ae, np.concatenate(drawn), preset.grid)

    module, real = features(size, at), catalog.pixels(size)
    pictures = draw(np.repeat(text_held, PICTURES, 0), of_held)
    return {
        "nll": -float(log_likelihood(model, text_held, image_held).mean()),
        **matches(catalog, held, of_held, pictures, module),
        "fd": frechet(real, draw(everything, one_each), module),
    }


def matches(
    catalog: Catalog, held: Catalog, keys: list, pictures: np.ndarray, module: Features
) -> dict[str, float]:
    """Return how often pictures show the article, the colour and the family asked for."""
    families = catalog.attributes.get("family", pd.Series([""] * len(catalog))).astype(str)
    told = bool(families.all())
    family = held.attributes["family"].astype(str).to_numpy() if told else [""] * len(held)
    prompts = pd.DataFrame({"prompt_id": held.ids, "prompt": held.captions, "family": family})
    shown = [(p, x) for (p, _), x in zip(keys, pictures, strict=True)]
    found = judge_pictures(catalog, prompts, shown)
    real = module.project(catalog.pixels(pictures.shape[1:3]))
    drawn = module.project(pictures)
    apart = (real**2).sum(1) - 2 * drawn @ real.T
    assert found is not None
    shares = {name: found.record[name] for name in ("article", "colour")}
    if told:
        nearest = families.to_numpy()[apart.argmin(1)]
        shares["family"] = float((nearest == np.repeat(family, PICTURES)).mean())
    return shares


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=[*STAGES, "table"])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--experiment", default="", help="a YAML whose data to train on")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--only", nargs="+", help="names of recipes; all by default")
    parser.add_argument("--rows", type=Path, default=Path("recipes.csv"))
    parser.add_argument("--scratch", type=Path, default=Path("recipes-scratch"))
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Measure what is not in the rows yet, then print the stage's table."""
    args = parse()
    args.scratch.mkdir(parents=True, exist_ok=True)
    recipes = STAGES.get(args.stage, [])
    rows = pd.read_csv(args.rows) if args.rows.exists() else pd.DataFrame(columns=["stage"])
    have = (
        set() if rows.empty else set(zip(rows["stage"], rows["recipe"], rows["seed"], strict=True))
    )
    todo = [
        (recipe, seed)
        for seed in args.seeds
        for recipe in recipes
        if (not args.only or recipe.name in args.only)
        and (args.stage, recipe.name, seed) not in have
    ]
    with ProcessPoolExecutor(args.processes, mp.get_context("spawn")) as pool:
        orders = [
            pool.submit(
                measure, args.preset, args.stage, recipe,
                Setting(args.experiment, seed, args.scratch),
            )
            for recipe, seed in todo
        ]  # fmt: skip
        for done in as_completed(orders):
            rows = pd.concat([rows, pd.DataFrame([done.result()])], ignore_index=True)
            rows.to_csv(args.rows, index=False)
            print(pd.DataFrame([done.result()]).round(3).to_string(header=False), flush=True)
    for stage, part in rows.groupby("stage"):
        if args.stage in (stage, "table"):
            mean = part.drop(columns="stage").groupby("recipe", sort=False).mean()
            mean["seeds"] = part.groupby("recipe")["seed"].nunique()
            print(f"\n{stage}\n" + mean.drop(columns="seed").round(3).to_string())


if __name__ == "__main__":
    main()
