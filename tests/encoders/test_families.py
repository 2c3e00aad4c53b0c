"""Each family of models that people use: tiny random ones, saved to disk and called by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from untrain.core.errors import InputError
from untrain.encoders import describe, encode_text, levels, load_encoder, pooled
from untrain.encoders.transformers_vision import TransformersEncoder

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
SEES: dict[str, Any] = {**SMALL, "image_size": 32, "patch_size": 8}
WORDS = {"[PAD]": 0, "[UNK]": 1, "[BOS]": 2, "[EOS]": 3, "a": 4, "red": 5, "blue": 6, "shirt": 7}
READS: dict[str, Any] = {
    **SMALL,
    "vocab_size": len(WORDS),
    "max_position_embeddings": 12,
    "bos_token_id": WORDS["[BOS]"],
    "eos_token_id": WORDS["[EOS]"],
    "pad_token_id": WORDS["[PAD]"],
}


def resnet() -> Any:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2])
    return transformers.ResNetModel(config)


def mobilenet() -> Any:
    return transformers.MobileNetV2Model(
        transformers.MobileNetV2Config(image_size=32, depth_multiplier=0.2, min_depth=4)
    )


def dino() -> Any:
    return transformers.ViTModel(transformers.ViTConfig(**SEES), add_pooling_layer=False)


def dinov2() -> Any:
    return transformers.Dinov2Model(transformers.Dinov2Config(**SEES))


def clip() -> Any:
    config = transformers.CLIPConfig(text_config=READS, vision_config=SEES, projection_dim=8)
    return transformers.CLIPModel(config)


def siglip() -> Any:
    config = transformers.SiglipConfig(text_config=READS, vision_config=SEES)
    return transformers.SiglipModel(config)


FAMILIES = (resnet, mobilenet, dino, dinov2, clip, siglip)
Saved = Callable[[Callable[[], Any]], tuple[str, Any]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Return a function family → folder of a random model of it, and the model."""
    made: dict[str, tuple[str, Any]] = {}

    def save(family: Callable[[], Any]) -> tuple[str, Any]:
        if family.__name__ not in made:
            torch.manual_seed(0)
            folder, model = tmp_path_factory.mktemp(family.__name__), family().eval()
            _settle(model)
            model.save_pretrained(folder)
            size = {"height": 32, "width": 32}
            transformers.ViTImageProcessor(size=size).save_pretrained(folder)
            if family in (clip, siglip):
                _tokenizer().save_pretrained(folder)
            made[family.__name__] = str(folder), model
        return made[family.__name__]

    return save


def _settle(model: torch.nn.Module) -> None:
    """Give batch normalisation statistics as of training: those of a new model change nothing."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                assert tensor is not None
                torch.nn.init.uniform_(tensor, 0.5, 1.5)


def _tokenizer() -> Any:
    words = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]",
        special_tokens=[(name, WORDS[name]) for name in ("[BOS]", "[EOS]")],
    )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "eos_token": "[EOS]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, **special)


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8))


def pixels(images: list[np.ndarray]) -> torch.Tensor:
    """What the processor does to pictures of its own size."""
    return torch.tensor(np.stack(images) / 127.5 - 1).permute(0, 3, 1, 2).float()


def outputs(model: Any, images: list[np.ndarray]) -> Any:
    with torch.inference_mode():
        return getattr(model, "vision_model", model)(pixel_values=pixels(images))


@pytest.mark.parametrize("family", FAMILIES)
def test_mean_and_whole_map_are_the_models_own(saved: Saved, family: Callable[[], Any]) -> None:
    path, model = saved(family)
    images = pictures(3)
    state = outputs(model, images).last_hidden_state.numpy()
    mean = state.mean((2, 3) if state.ndim == 4 else 1)
    whole = TransformersEncoder(path, pooling="flatten")
    np.testing.assert_allclose(whole.encode(images), state.reshape(3, -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pooled(whole).encode(images), mean, rtol=1e-4, atol=1e-5)
    assert pooled(whole).fingerprint == load_encoder(path).fingerprint
    assert pooled(whole).model is whole.model  # type: ignore[attr-defined]
    assert describe(pooled(whole)).endswith(", mean, float32")
    assert encode_text(whole, ["a red shirt"]) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_and_fingerprint_are_stable(saved: Saved, family: Callable[[], Any]) -> None:
    path, _ = saved(family)
    one, two = TransformersEncoder(path, batch_size=1), TransformersEncoder(path, batch_size=5)
    images = pictures(7)
    np.testing.assert_allclose(one.encode(images), two.encode(images), rtol=1e-4, atol=1e-6)
    assert one.fingerprint == two.fingerprint
    assert pooled(one) is one


@pytest.mark.parametrize("family", [resnet, mobilenet, dinov2, clip, siglip])
def test_the_models_own_pooling_layer(saved: Saved, family: Callable[[], Any]) -> None:
    path, model = saved(family)
    images = pictures(2)
    expected = outputs(model, images).pooler_output.flatten(1).numpy()
    encoder = TransformersEncoder(path, pooling="pooler")
    np.testing.assert_allclose(encoder.encode(images), expected, rtol=1e-4, atol=1e-5)


def test_a_pooling_layer_without_weights_is_not_made_up(saved: Saved) -> None:
    path, _ = saved(dino)
    with pytest.raises(InputError, match="no pooling layer"):
        TransformersEncoder(path, pooling="pooler")


def test_weights_that_lack_a_layer_are_refused(saved: Saved, tmp_path: Path) -> None:
    _, model = saved(dinov2)
    weights = {k: v for k, v in model.state_dict().items() if "layer.1.attention" not in k}
    model.save_pretrained(tmp_path, state_dict=weights)
    transformers.ViTImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"lack \d+ arrays.*layer\.1\.attention"):
        TransformersEncoder(str(tmp_path))


@pytest.mark.parametrize("family", [clip, siglip])
def test_pictures_and_texts_share_a_space(saved: Saved, family: Callable[[], Any]) -> None:
    path, model = saved(family)
    encoder, images = TransformersEncoder(path, pooling="projection"), pictures(3)
    assert pooled(encoder) is encoder
    assert len(levels(encoder).encode(images)) == 3  # of the half that sees
    with torch.inference_mode():
        picture = model.get_image_features(pixel_values=pixels(images))
        tokens = [2, 4, 5, 7, 3, *[0] * 7]
        mask = {"attention_mask": torch.tensor([[1] * 5 + [0] * 7])}
        text = model.get_text_features(input_ids=torch.tensor([tokens]), **mask)
    picture, text = (getattr(f, "pooler_output", f).numpy() for f in (picture, text))
    np.testing.assert_allclose(encoder.encode(images), picture, rtol=1e-4, atol=1e-5)
    texts = encode_text(encoder, ["a red shirt", "a blue shirt"])
    assert texts is not None
    assert texts.dtype == np.float32
    assert texts.shape[1] == encoder.encode(images).shape[1]
    np.testing.assert_allclose(texts[:1], text, rtol=1e-4, atol=1e-5)
    assert np.abs(texts[0] - texts[1]).max() > 1e-4
    cut = encode_text(encoder, ["a red shirt " * 50])
    assert cut is not None and cut.shape == texts[:1].shape


def test_a_joint_space_needs_a_model_that_has_one(saved: Saved, tmp_path: Path) -> None:
    path, _ = saved(dinov2)
    with pytest.raises(InputError, match="'projection' needs a model of pictures and texts"):
        TransformersEncoder(path, pooling="projection")
    path, model = saved(clip)
    with pytest.raises(InputError, match="leave layer out"):
        TransformersEncoder(path, pooling="projection", layer=1)
    model.save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    without = TransformersEncoder(str(tmp_path), pooling="projection")
    assert without.encode(pictures(1)).shape == (1, 8)
    with pytest.raises(InputError, match="no tokenizer"):
        without.encode_text(["a red shirt"])


def test_the_pace_is_measured_on_the_first_pictures(
    saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = saved(resnet)
    encoder, images = TransformersEncoder(path, layer=-1), pictures(20)
    few = encoder.encode(images[:3])
    assert "images/s" not in capsys.readouterr().err
    all_of_them = encoder.encode(images)
    assert "images/s" in capsys.readouterr().err
    np.testing.assert_allclose(all_of_them[:3], few, rtol=1e-4, atol=1e-6)
    encoder.encode(images)
    assert "images/s" not in capsys.readouterr().err
