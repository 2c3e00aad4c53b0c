"""What `bench_study.py` works on: a catalogue, prompts, stand-ins of pictures, an encoder."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from untrain.catalogs import load_catalog
from untrain.catalogs.base import Catalog
from untrain.catalogs.rendered.catalog import family_prompt, rendered
from untrain.core.files import rng


@dataclass
class Study:
    """What both ways work on: a catalogue, prompts, and files of generated pictures."""

    catalog: Catalog
    prompts: pd.DataFrame
    folder: Path
    generations: int
    candidates: int

    def generated(self, prompt_id: str) -> list[Path]:
        """Return the files of a prompt's generated pictures."""
        return [self.folder / f"{prompt_id}-{k}.png" for k in range(self.generations)]


def make_study(args: argparse.Namespace, folder: Path) -> Study:
    """Open or render the catalogue, read or make up the prompts, write the stand-ins."""
    if args.catalog:
        catalog = load_catalog(args.format, path=args.catalog)
    else:
        catalog = rendered(200, resolution=64)
    if args.descriptions:
        sets = sorted(Path(args.descriptions).glob("*.txt"), key=lambda p: (len(p.name), p.name))
        texts = [
            line
            for path in sets[: args.sets]
            for line in path.read_text(encoding="utf-8").splitlines()[: args.prompts]
            if line.strip()
        ]
    elif args.catalog:
        texts = list(catalog.captions[:: max(1, len(catalog) // (args.sets * args.prompts))])
    else:
        names = sorted(set(catalog.attributes["family"]))
        texts = [family_prompt(catalog, name) for name in names]
    texts = texts[: args.sets * args.prompts]
    prompts = pd.DataFrame({"prompt_id": [f"p{i}" for i in range(len(texts))], "prompt": texts})
    study = Study(catalog, prompts, folder, args.generations, args.candidates)
    for prompt_id in prompts["prompt_id"]:
        for path in study.generated(prompt_id):
            random = rng("stand-in", path.name)
            photo = catalog.image(catalog.ids[random.integers(len(catalog))])
            large = np.asarray(photo.resize((args.side, args.side)))
            noisy = large + random.normal(0, 8, large.shape)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return study


def random_resnet(folder: Path, pictures: list[np.ndarray]) -> str:
    """Save a ResNet-50 with random weights, prepared as the study's, and return its folder."""
    import torch
    from transformers import ResNetConfig, ResNetModel, ViTImageProcessorPil

    torch.manual_seed(0)
    model = ResNetModel(ResNetConfig())
    processor = ViTImageProcessorPil(size={"height": 224, "width": 224}, resample=0)
    # Statistics of real pictures, without which activations would leave half precision.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    inputs = processor(images=pictures, return_tensors="pt", input_data_format="channels_last")
    with torch.no_grad():
        model.train()(**inputs)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)
