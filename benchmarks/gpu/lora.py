"""LoRA on a pipeline like Stable Diffusion, with random weights: memory and speed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu.pace import pace, timed
from gpu.results import Item, Row, Setting
from untrain.core.hardware import PRECISIONS, Precision, device

MIDDLE: dict[str, Any] = {"widths": (192, 384, 768), "layers": 2, "text": 768, "side": 256}
"""A U-Net of 223 M weights, a quarter of Stable Diffusion 1.5's, at half its picture size."""
LITTLE: dict[str, Any] = {"widths": (16, 16), "layers": 1, "text": 16, "side": 16}


def items(at: Setting) -> Iterator[Item]:
    """Yield the pipeline, then training, sampling and gradients in both precisions."""
    size = LITTLE if at.miniature else MIDDLE
    folder = at.work / "pipeline"
    yield "pipeline", partial(_pipeline, folder, size)
    for precision in ("float32",) if device().type == "cpu" else PRECISIONS[::-1]:
        for batch in (2,) if at.miniature else (4, 16):
            told = f"training, {precision}, {batch} a step"
            yield told, partial(_training, folder, size, precision, batch, at)
        yield f"sampling, {precision}", partial(_sampling, folder, size, precision, at)
        yield f"gradients, {precision}", partial(_gradients, folder, size, precision, at)


def _pipeline(folder: Path, size: dict[str, Any]) -> Row:
    """Write the parts of Stable Diffusion and a tokenizer of single letters."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{each}</w>" for each in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )
    torch.manual_seed(0)
    wide, widths = size["text"], size["widths"]
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words), hidden_size=wide, intermediate_size=2 * wide,
            num_hidden_layers=2, num_attention_heads=wide // 8, max_position_embeddings=16,
            bos_token_id=0, eos_token_id=1, projection_dim=wide,
        )
    )  # fmt: skip
    deeper = len(widths) - 1
    channels = (8, 8) if size is LITTLE else (32, 64, 64, 64)
    unet = diffusers.UNet2DConditionModel(
        sample_size=size["side"] // 2 ** (len(channels) - 1), block_out_channels=widths,
        layers_per_block=size["layers"],
        norm_num_groups=4, cross_attention_dim=wide, attention_head_dim=8,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * deeper),
        up_block_types=(*("CrossAttnUpBlock2D",) * deeper, "UpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=channels, norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
    )  # fmt: skip
    diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet,
        scheduler=diffusers.DDPMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder / "pipe")  # fmt: skip
    parts = {"U-Net": unet, "text encoder": text, "autoencoder": vae}
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    return {f"{name}, M weights": round(size / 1e6, 1) for name, size in sizes.items()}


def _generator(folder: Path, size: dict[str, Any], precision: Precision, **more: Any) -> Any:
    from untrain.generators.diffusion.lora import LoraGenerator

    side = {"height": size["side"], "width": size["side"]}
    settings = {"steps": 3, "terms": 2, "rank": 2} if size is LITTLE else {}
    return LoraGenerator(str(folder / "pipe"), precision, **side, **settings, **more)


def _prepared(folder: Path, size: dict[str, Any], precision: Precision, at: Setting, **more: Any):
    """Return a generator and its catalogue, encoded once for all precisions."""
    from untrain.catalogs import rendered

    catalog = rendered(families=8, size_of_family=4, seed=1, resolution=size["side"])
    generator = _generator(folder, size, precision, **more)
    generator.prepare(catalog, at.work / f"latents-{precision}", lambda n: None)
    return generator, catalog


def _training(
    folder: Path, size: dict[str, Any], precision: Precision, batch: int, at: Setting
) -> Row:
    generator, catalog = _prepared(folder, size, precision, at, batch=batch, epochs=10**4)
    row = pace(lambda told: generator.fit(catalog, [], 0, told), at.seconds, 4)
    learnt = generator.learnt(generator.network(0)).values()
    return row | {"learn, M": round(sum(tensor.numel() for tensor in learnt) / 1e6, 2)}


def _sampling(folder: Path, size: dict[str, Any], precision: Precision, at: Setting) -> Row:
    from untrain.generators.noise import noise_batch

    generator, _ = _prepared(folder, size, precision, at)
    generator._model = generator.network(0).eval().requires_grad_(False)
    n = 2 if at.miniature else 8
    noise = noise_batch(generator.noise, 0, [("p", i) for i in range(n)])
    took = timed(lambda: generator.generate(["red shoes"] * n, noise))
    return {"pictures/s": round(n / took, 3), "DDIM steps": generator.preset.steps}


def _gradients(folder: Path, size: dict[str, Any], precision: Precision, at: Setting) -> Row:
    """Return the gradients of single pairs a second, one after another."""
    generator, catalog = _prepared(folder, size, precision, at)
    generator._model = generator.network(0).eval()
    module = generator.module()
    learnt = [p for p in module.parameters() if p.requires_grad]
    ids = catalog.ids[: 2 if at.miniature else 16]

    def work() -> None:
        for each in ids:
            batch = generator.training_batch(catalog, [each])
            torch.autograd.grad(generator.pair_losses(batch).sum(), learnt)

    work()
    rate = len(ids) / float(np.median([timed(work) for _ in range(2)]))
    return {"pairs/s": round(rate, 2)}
