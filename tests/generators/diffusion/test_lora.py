"""LoRA on a pipeline like Stable Diffusion: a tiny random one, saved to disk."""

from __future__ import annotations

import json
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.generators import silent
from tests.helpers.networks import evidence_of, rank_of
from untrain.attribution.gradients.layers import factors
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.registry import make_attributor
from untrain.catalogs import rendered
from untrain.core.errors import InputError
from untrain.generators import make_generator
from untrain.generators.diffusion.lora import LoraGenerator
from untrain.testing import check_generator
from untrain.training.checkpoints import record
from untrain.unlearning import Task, unlearn
from untrain.unlearning.base import copied

pytest.importorskip("peft", reason="needs untrain[diffusion]")
diffusers = pytest.importorskip("diffusers", reason="needs untrain[diffusion]")

CATALOG = rendered(families=5, size_of_family=4, seed=1, resolution=16)
SMALL = {"height": 16, "width": 16, "epochs": 2, "lr": 0.03, "steps": 3, "terms": 4, "rank": 2}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of Stable Diffusion with a few channels each, and a tokenizer of single letters."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("pipeline")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *words]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )
    torch.manual_seed(0)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=16, bos_token_id=0, eos_token_id=1,
            projection_dim=16,
        )
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16, attention_head_dim=2,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4, latent_channels=4,
    )  # fmt: skip
    diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet,
        scheduler=diffusers.DDPMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder / "pipe")  # fmt: skip
    return folder / "pipe"


@pytest.mark.slow
def test_it_keeps_the_contract(pipeline: Path) -> None:
    check_generator(lambda: LoraGenerator(str(pipeline), **SMALL), CATALOG)


@pytest.fixture(scope="module")
def fitted(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> LoraGenerator:
    generator = LoraGenerator(str(pipeline), precision="float32", **SMALL)
    generator.prepare(CATALOG, tmp_path_factory.mktemp("lora") / "shared", silent)
    generator.fit(CATALOG, [], 0, silent)
    return generator


def test_only_adapters_are_saved(fitted: LoraGenerator, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    weights = load_file(tmp_path / "adapter.safetensors")
    assert weights and all("lora_" in name for name in weights)
    whole = sum(p.numel() for p in fitted._fitted().parameters())
    assert sum(w.numel() for w in weights.values()) < whole / 5
    assert {path.name for path in tmp_path.iterdir()} == {"adapter.safetensors", "model.json"}


def test_the_base_stays_as_it_was(fitted: LoraGenerator, pipeline: Path) -> None:
    base = diffusers.UNet2DConditionModel.from_pretrained(pipeline, subfolder="unet")
    learnt = fitted._fitted().state_dict()
    for name, value in base.state_dict().items():
        found = learnt.get(f"unet.{name}")
        if found is None:  # wrapped by an adapter
            head, _, end = name.rpartition(".")
            found = learnt[f"unet.{head}.base_layer.{end}"]
        assert torch.equal(found, value), name


def test_an_adapter_begins_as_the_base(fitted: LoraGenerator, pipeline: Path) -> None:
    """B is zero at the start: the first prediction is the pipeline's own."""
    base = diffusers.UNet2DConditionModel.from_pretrained(pipeline, subfolder="unet").eval()
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([10, 700])
    asked = fitted.condition(["red shoes", "a bag"])
    with torch.no_grad():
        expected = base(x, t, encoder_hidden_states=asked).sample
        torch.testing.assert_close(fitted.network(3)(x, t, asked), expected)


def test_drawing_is_that_of_the_pipeline(pipeline: Path) -> None:
    """The same latents, prompt, guidance and steps through `diffusers` itself, no adapters."""
    generator = LoraGenerator(str(pipeline), precision="float32", **SMALL)
    generator._model = generator.network(0).eval()
    noise = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    drawn = generator.generate(["red shoes"], noise)
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(pipeline, safety_checker=None)
    pipe.scheduler = generator.scheduler
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        "red shoes", latents=torch.from_numpy(noise), num_inference_steps=3, guidance_scale=7.5,
        eta=0.0, output_type="np",
    ).images  # fmt: skip
    difference = drawn.images.astype(float) - 255 * expected
    assert np.abs(difference).max() < 2


def test_adapters_have_gradients_of_every_pair(fitted: LoraGenerator) -> None:
    batch = fitted.training_batch(CATALOG, CATALOG.ids[:2])
    found: dict[str, torch.Tensor] = {}

    def consume(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        found[name] = torch.bmm(b.transpose(1, 2), a)

    factors(fitted, OUTPUTS["nll"].of_pairs, batch, consume)
    learnt = {n: p for n, p in fitted.module().named_parameters() if p.requires_grad}
    assert {f"{name}.weight" for name in found} == set(learnt)
    for row in range(2):
        loss = fitted.pair_losses(batch)[row]
        by = torch.autograd.grad(loss, list(learnt.values()))
        for (name, _), expected in zip(learnt.items(), by, strict=True):
            own = found[name.removesuffix(".weight")][row]
            torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["grad_cos", "trak:nll", "dtrak", "tracin", "mucs"])
def test_attribution_finds_planted_copies_better_than_chance(
    name: str, fitted: LoraGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the pipeline is random, and has learnt next to nothing; `dtrak` does not.

    It is another one with transformers 4, which draws other weights.
    """
    import transformers

    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path))
    rows = [0, 6, 11, 17]
    evidence = evidence_of(fitted, CATALOG, rows)
    evidence.record = lambda: record(copy(fitted), CATALOG, 0, (0.5, 1.0))
    values = make_attributor(name).scores(evidence).values
    assert values.shape == (4, 20) and np.isfinite(values).all()
    if name != "dtrak" and int(transformers.__version__.split(".")[0]) >= 5:
        assert np.mean(rank_of(values, rows)) < 9.5  # of 0 to 19


def test_adapters_forget_and_the_base_stays(fitted: LoraGenerator) -> None:
    task = Task(fitted, CATALOG, CATALOG.ids[:4], 1.0, 0, silent)
    found = unlearn("ascent_retain", task, rate=0.1).generator
    changed, before = (each.module().state_dict() for each in (found, fitted))  # type: ignore[attr-defined]
    for name, value in before.items():
        assert "lora_" in name or torch.equal(changed[name], value), name
    assert not all(torch.equal(changed[name], value) for name, value in before.items())
    again = copied(found).module().state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(again[name], value) for name, value in changed.items())


def test_the_report_is_told_what_is_frozen(fitted: LoraGenerator) -> None:
    assert "fine-tuning set" in fitted.frozen and fitted.space.frozen not in fitted.frozen


def test_what_cannot_be_used(pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot load the pipeline 'nowhere'"):
        LoraGenerator("nowhere").noise  # noqa: B018
    with pytest.raises(InputError, match="did you mean 'rank'"):
        LoraGenerator(str(pipeline), rnk=3)
    other = LoraGenerator(str(pipeline), **{**SMALL, "rank": 4})
    same = LoraGenerator(str(pipeline), precision="float32", **SMALL)
    assert other.fingerprint(CATALOG) != same.fingerprint(CATALOG)


def test_pickled_weights_are_not_opened(pipeline: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(pipeline, tmp_path / "pickled"))
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(InputError, match="safetensors"):
        LoraGenerator(str(copy), **SMALL).noise  # noqa: B018


def test_code_beside_the_weights_is_not_run(pipeline: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(pipeline, tmp_path / "own"))
    (copy / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    index = json.loads((copy / "model_index.json").read_text())
    index["_class_name"] = ["mine", "Mine"]
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"code of its own \(mine.py\)"):
        LoraGenerator(str(copy), **SMALL).noise  # noqa: B018
    assert not (tmp_path / "ran").exists()


def test_in_an_experiment_file(pipeline: Path, tmp_path: Path) -> None:
    from untrain.settings.load import load_config

    (tmp_path / "pipe").symlink_to(pipeline)
    options: dict[str, Any] = {"pipeline": "pipe", **SMALL}
    text = f"generator: {{name: lora, options: {json.dumps(options)}}}\nprompts: {{families: 3}}"
    (tmp_path / "lora.yaml").write_text(text)
    config = load_config(tmp_path / "lora.yaml")
    made = make_generator(config.generator.name, 0, **config.generator.arguments())
    assert isinstance(made, LoraGenerator) and made.image_size == (16, 16)


def test_its_precision_is_a_setting(pipeline: Path) -> None:
    rounded = LoraGenerator(str(pipeline), precision="bfloat16", **SMALL)
    exact = LoraGenerator(str(pipeline), precision="float32", **SMALL)
    assert rounded.fingerprint(CATALOG) != exact.fingerprint(CATALOG)
