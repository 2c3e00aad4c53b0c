"""Which recipe of the reference model draws recognisable photos, at equal time?

Every recipe is trained on what the models of ``--experiment`` are trained on for the same processor
seconds on one thread: a short training is timed, and the recipe gets as many epochs as fit. Rows
are kept in ``--rows`` as they come and models in ``--scratch``, so that an interrupted table goes
on; ``--sheet`` draws pictures of the experiment's prompts, of the same noise for recipes of the
same codes::

    python benchmarks/shop_recipes.py examples/shop.yaml --only small photo
    python benchmarks/shop_recipes.py examples/shop.yaml --only small photo --sheet sheet.png

Measured, by the features of the experiment's encoder on pictures of the model's size: the share of
pictures that show the article and the colour of their caption, by a regularised linear probe that
learnt both from real photos (its share on held-out photos is printed first), of the captions of
held-out photos and of the experiment's prompts, `EACH` pictures each; the Fréchet distance to real
photos over 64 principal components of held-out photos that the autoencoder draws again (*rebuilt*)
and of a picture for each of the captions of `DRAWN` photos; PSNR and bits a picture of held-out
photos, these to be compared where codes are the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.linalg import sqrtm
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from untrain.catalogs.base import Catalog
from untrain.core.atomic import atomic_file
from untrain.core.files import fingerprint, rng
from untrain.generators.base import Noise
from untrain.generators.dalle import autoencoder as ae
from untrain.generators.dalle import transformer as tr
from untrain.generators.dalle.presets import Preset, preset_of
from untrain.generators.dalle.tokenizer import encode_captions, train_tokenizer
from untrain.generators.dalle.training import TokenData, train_transformer
from untrain.generators.noise import noise_batch
from untrain.runs.run import Run
from untrain.settings.load import load_config

REAL, DRAWN, EACH, COMPONENTS, LABEL = 1000, 400, 12, 64, 230
ASKED = {"article": ("article", "articleType"), "colour": ("colour", "baseColour")}
FREE = {"temperature": 1.0, "top_k": 1.0, "guidance": 1.0}  # what training does not depend on

GUIDED = {"caption_dropout": 0.1, "guidance": 2.5, "temperature": 0.7}
TWO = {"parts": 2, "levels": (8, 8, 8)}
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "small": ("small", {}),
    "small, guided": ("small", GUIDED),
    "two codes a place": ("small", TWO),
    "two codes, colours": ("small", {**TWO, "colour_weight": 2.0}),
    "photo": ("photo", {}),
}


@dataclass(frozen=True, eq=False)
class Bench:
    """An experiment's photos, the probe that judges pictures, and where models are kept."""

    run: Run
    scratch: Path
    size: tuple[int, int]

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """Return the encoder's features of uint8 pictures (n, h, w, 3), float64 (n, d)."""
        return self.run.encoder.encode(list(pictures)).astype(np.float64)

    def of_photos(self, catalog: Catalog) -> tuple[np.ndarray, np.ndarray]:
        """Return features of photos at the models' size, and the rows they are of."""
        rows = np.sort(rng("shop recipes", 0).permutation(len(catalog))[:REAL])
        of = fingerprint(catalog.fingerprint, self.size, REAL, self.run.encoder.fingerprint)
        path = self.scratch / f"{of}.npy"
        if not path.exists():
            pixels = catalog.pixels(self.size, [catalog.ids[row] for row in rows])
            np.save(path, self.features(pixels))
        return np.load(path), rows

    @cached_property
    def real(self) -> np.ndarray:
        """Features of real photos."""
        return self.of_photos(self.run.catalog)[0]

    @cached_property
    def probes(self) -> dict[str, Any]:
        """The probe of each attribute; prints how often it is right of held-out photos."""
        _, rows = self.of_photos(self.run.catalog)
        held, held_rows = self.of_photos(self.run.held_out)
        probes = {}
        for name in ASKED:
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300))
            probe.fit(self.real, labels(self.run.catalog, name)[rows])
            right = probe.score(held, labels(self.run.held_out, name)[held_rows])
            print(f"the probe is right of {right:.1%} of held-out photos: {name}")
            probes[name] = probe
        return probes

    @property
    def prompts(self) -> list[str]:
        """The experiment's prompts, without its controls."""
        table = self.run.prompts
        return list(table.loc[table["role"] == "query", "prompt"])

    @property
    def wanted(self) -> dict[str, np.ndarray]:
        """What each prompt asks for: the values of the photos of this caption."""
        captions = np.array(self.run.catalog.captions)
        rows = [int(np.flatnonzero(captions == prompt)[0]) for prompt in self.prompts]
        return {name: labels(self.run.catalog, name)[rows] for name in ASKED}

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and principal axes of the features of real photos."""
        mean = self.real.mean(0)
        return mean, np.linalg.svd(self.real - mean, full_matrices=False)[2][:COMPONENTS].T

    def distance(self, features: np.ndarray) -> float:
        """Return the Fréchet distance to real photos."""
        mean, axes = self.axes
        a, b = (self.real - mean) @ axes, (features - mean) @ axes
        spread, other = np.cov(a.T), np.cov(b.T)
        both = np.trace(spread + other - 2 * sqrtm(spread @ other).real)
        return float(np.square(a.mean(0) - b.mean(0)).sum() + both)


def labels(catalog: Catalog, name: str) -> np.ndarray:
    """Return what is `ASKED` of all pairs, as text."""
    column = next(column for column in ASKED[name] if column in catalog.attributes)
    return catalog.attributes[column].astype(str).to_numpy()


def nowhere(n: int) -> None:
    """Take a report of progress."""


def epochs_for(seconds: float, pairs: int, train: Callable[[int], object]) -> int:
    """Return how many epochs of ``pairs`` fit into processor seconds; trains a little."""
    few = min(pairs, 640)
    train(few // 4)
    start = time.process_time()
    train(few)
    return max(1, round(seconds / (time.process_time() - start) * few / pairs))


@dataclass(eq=False)
class Trained:
    """A recipe, trained for its time or read from where it was kept."""

    bench: Bench
    preset: Preset
    seconds_ae: float
    seconds: float

    def __post_init__(self) -> None:
        catalog, preset = self.bench.run.catalog, self.preset
        self.epochs: dict[str, int] = {}
        pixels = catalog.pixels((preset.height, preset.width))
        once = replace(preset, epochs_ae=1)
        self.autoencoder = self.kept(
            ae.Autoencoder(preset),
            ("ae", preset.autoencoder_part(), self.seconds_ae),
            lambda n: ae.train_autoencoder(pixels[:n], once, 0, nowhere),
            lambda n: ae.train_autoencoder(pixels, replace(preset, epochs_ae=n), 0, nowhere),
            self.seconds_ae,
        )
        self.tokenizer = train_tokenizer(catalog.captions, preset.vocabulary)
        words, image = self.text(catalog.captions), ae.encode(self.autoencoder, pixels)
        vocabulary = self.tokenizer.get_vocab_size()

        def train(n: int, epochs: int = 1) -> tr.Transformer:
            data = TokenData(words[:n], image[:n], np.ones(n, bool), vocabulary)
            return train_transformer(data, replace(preset, epochs=epochs), 0, nowhere)[0]

        recipe = replace(preset, **FREE, epochs=1).to_dict()
        self.transformer = self.kept(
            tr.Transformer(preset, vocabulary),
            ("transformer", recipe, self.seconds_ae, self.seconds),
            train,
            lambda epochs: train(len(catalog), epochs),
            self.seconds,
        )

    def kept(
        self,
        model: Any,
        key: Sequence[Any],
        little: Callable[[int], object],
        whole: Callable[[int], torch.nn.Module],
        seconds: float,
    ) -> Any:
        """Return a trained model, from ``scratch`` where it is there; notes its epochs."""
        path = self.bench.scratch / f"{fingerprint(*key)}.safetensors"
        if not path.exists():
            epochs = epochs_for(seconds, len(self.bench.run.catalog), little)
            start = time.process_time()
            weights = {k: v.contiguous() for k, v in whole(epochs).state_dict().items()}
            spent = {"epochs": str(epochs), "seconds": str(time.process_time() - start)}
            with atomic_file(path) as temporary:
                save_file(weights, temporary, spent)
        model.load_state_dict(load_file(path))
        with safe_open(path, "pt") as file:
            self.epochs[f"epochs_{key[0]}"] = int(file.metadata()["epochs"])
        return model.eval().requires_grad_(False)

    def text(self, captions: Sequence[str]) -> np.ndarray:
        """Return the tokens of captions."""
        return encode_captions(self.tokenizer, captions, self.preset.text_limit)

    def draw(self, captions: Sequence[str], each: int = 1) -> np.ndarray:
        """Return ``each`` pictures a caption, uint8 (captions·each, h, w, 3)."""
        kind = Noise("gumbel", (self.preset.positions, self.preset.codes))
        keys = [(f"{n}", number) for n in range(len(captions)) for number in range(each)]
        words = np.repeat(self.text(captions), each, 0)
        drawn = []
        for i in range(0, len(keys), 128):  # in parts: noise is large
            noise = noise_batch(kind, 0, keys[i : i + 128])
            drawn.append(tr.sample(self.transformer, words[i : i + 128], noise, self.preset))
        return ae.decode(self.autoencoder, np.concatenate(drawn), self.preset.grid)

    def of_held_out(self) -> tuple[np.ndarray, dict[str, float]]:
        """Return held-out photos as the autoencoder draws them again, and their PSNR and bits."""
        held, size = self.bench.run.held_out, (self.preset.height, self.preset.width)
        pixels = held.pixels(size)
        tokens = ae.encode(self.autoencoder, pixels)
        rebuilt = ae.decode(self.autoencoder, tokens, self.preset.grid)
        likely = tr.log_likelihood(self.transformer, self.text(held.captions), tokens)
        return rebuilt, {
            "psnr": 10 * np.log10(255**2 / np.square(rebuilt.astype(float) - pixels).mean()),
            "bits": -float(likely.sum(1).mean()) / np.log(2),
        }

    def measured(self) -> dict[str, float]:
        """Return a row of the table."""
        run = self.bench.run
        held, (rebuilt, found) = run.held_out, self.of_held_out()
        every = [*held.captions, *run.catalog.captions][:DRAWN]
        return {
            **found,
            "rebuilt_fd": self.bench.distance(self.bench.features(rebuilt)),
            "fd": self.bench.distance(self.bench.features(self.draw(every))),
            **self.right(held.captions, 1, {name: labels(held, name) for name in ASKED}, ""),
            **self.right(self.bench.prompts, EACH, self.bench.wanted, "_prompts"),
        }

    def right(
        self, captions: Sequence[str], each: int, wanted: dict[str, np.ndarray], what: str
    ) -> dict[str, float]:
        """Return the share of pictures that show each attribute of their caption."""
        found = self.bench.features(self.draw(captions, each))
        return {
            f"{name}{what}": float(
                np.mean(self.bench.probes[name].predict(found) == np.repeat(asked, each))
            )
            for name, asked in wanted.items()
        }


def sheet(trained: Sequence[Trained], path: Path, each: int = 4) -> None:
    """Write pictures of the prompts: a row a prompt, ``each`` pictures a recipe side by side."""
    prompts = trained[0].bench.prompts
    columns = []
    for one in trained:
        drawn = one.draw(prompts, each)
        height, width = drawn.shape[1:3]
        rows = drawn.reshape(len(prompts), each, height, width, 3).transpose(0, 2, 1, 3, 4)
        columns.append(rows.reshape(len(prompts) * height, each * width, 3))
        columns.append(np.full((len(columns[-1]), 12, 3), 255, np.uint8))
    pictures = Image.fromarray(np.concatenate(columns[:-1], 1))
    pictures = pictures.resize((2 * pictures.width, 2 * pictures.height), Image.Resampling.BICUBIC)
    whole = Image.new("RGB", (pictures.width + LABEL, pictures.height), "white")
    whole.paste(pictures, (LABEL, 0))
    for row, prompt in enumerate(prompts):
        place = (8, int((row + 0.5) * pictures.height / len(prompts)) - 8)
        ImageDraw.Draw(whole).text(place, prompt, "black", ImageFont.load_default(14))
    whole.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", help="a YAML of photos with attributes")
    parser.add_argument("--set", nargs="+", default=[], help="settings of it, as of untrain run")
    parser.add_argument("--only", nargs="+", default=[*RECIPES], help="names of recipes")
    parser.add_argument("--seconds", type=float, default=200, help="of the transformer")
    parser.add_argument("--seconds-ae", type=float, default=280, help="of the autoencoder")
    parser.add_argument("--rows", type=Path, default=Path("shop-recipes.csv"))
    parser.add_argument("--scratch", type=Path, default=Path("shop-recipes-scratch"))
    parser.add_argument("--sheet", type=Path, help="a picture to write, and only the quick columns")
    return parser.parse_args()


def main() -> None:
    """Measure what is not in the rows yet, then print the table."""
    args = parse()
    torch.set_num_threads(1)
    args.scratch.mkdir(parents=True, exist_ok=True)
    base, changes = RECIPES[args.only[0]]
    first = preset_of(base, **changes)
    run = Run(load_config(args.experiment, args.set))
    bench = Bench(run, args.scratch, (first.height, first.width))

    def trained(name: str) -> Trained:
        base, changes = RECIPES[name]
        return Trained(bench, preset_of(base, **changes), args.seconds_ae, args.seconds)

    if args.sheet:
        drawn = {name: trained(name) for name in args.only}
        sheet([*drawn.values()], args.sheet)
        rows = [{"recipe": n} | one.epochs | one.of_held_out()[1] for n, one in drawn.items()]
        print(pd.DataFrame(rows).round(2).to_string(index=False))
        return
    key = ["recipe", "seconds_ae", "seconds"]
    rows = pd.read_csv(args.rows) if args.rows.exists() else pd.DataFrame(columns=key)
    for name in args.only:
        new = dict(zip(key, (name, args.seconds_ae, args.seconds), strict=True))
        if not (rows[key] == list(new.values())).all(axis=1).any():
            one = trained(name)
            new = {**new, **one.epochs, **one.measured()}
            rows = pd.concat([rows, pd.DataFrame([new])], ignore_index=True)
            rows.to_csv(args.rows, index=False, float_format="%.4f")
    print(rows.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
