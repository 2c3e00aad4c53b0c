"""Any vision model of transformers, from a folder, gives the features that it itself computes."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

from tests.helpers.places import SHARED
from untrain.core.errors import InputError
from untrain.encoders import levels, load_encoder
from untrain.encoders.transformers_vision import TransformersEncoder

WEIGHTS = SHARED / "weights"
MEAN, STD = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])


def save(model: transformers.PreTrainedModel, folder: Path) -> str:
    model.save_pretrained(folder)
    transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=list(MEAN), image_std=list(STD)
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return save(ResNetModel(config), tmp_path_factory.mktemp("resnet"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )
    return save(ViTModel(config), tmp_path_factory.mktemp("vit"))


def pictures(count: int, size: int = 32) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return list(random.integers(0, 256, (count, size, size, 3), np.uint8))


def last_state(model: torch.nn.Module, images: list[np.ndarray]) -> np.ndarray:
    """The model called by hand on pictures of its own size."""
    pixels = (np.stack(images) / 255 - MEAN) / STD
    with torch.inference_mode():
        output = model.eval()(pixel_values=torch.tensor(pixels).permute(0, 3, 1, 2).float())
    return output.last_hidden_state.numpy()


def test_pooling_of_a_convolutional_net(resnet: str) -> None:
    images = pictures(5)
    state = last_state(ResNetModel.from_pretrained(resnet), images)
    mean = TransformersEncoder(resnet).encode(images)
    flat = TransformersEncoder(resnet, pooling="flatten", batch_size=2).encode(images)
    assert mean.dtype == flat.dtype == np.float32
    np.testing.assert_allclose(mean, state.mean(axis=(2, 3)), atol=1e-5)
    np.testing.assert_allclose(flat, state.reshape(5, -1), atol=1e-5)
    with pytest.raises(InputError, match="'mean' or 'flatten'"):
        TransformersEncoder(resnet, pooling="cls").encode(images)


def test_pooling_of_a_transformer(vit: str) -> None:
    images = pictures(3)
    state = last_state(ViTModel.from_pretrained(vit), images)
    np.testing.assert_allclose(
        TransformersEncoder(vit, pooling="cls").encode(images), state[:, 0], atol=1e-5
    )
    np.testing.assert_allclose(
        TransformersEncoder(vit).encode(images), state.mean(axis=1), atol=1e-5
    )


def test_images_of_different_sizes_share_a_batch(resnet: str) -> None:
    encoder = TransformersEncoder(resnet)
    mixed = [*pictures(1, 20), *pictures(1, 47), *pictures(1, 32)]
    together = encoder.encode(mixed)
    alone = np.concatenate([encoder.encode([image]) for image in mixed])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert encoder.encode([]).shape == (0, 16)


def test_earlier_layers_are_to_be_had(resnet: str) -> None:
    assert TransformersEncoder(resnet, layer=1).encode(pictures(1)).shape == (1, 8)
    with pytest.raises(InputError, match="layer is 9; this model has 3"):
        TransformersEncoder(resnet, layer=9).encode(pictures(1))


def test_means_of_several_layers_are_to_be_had(resnet: str, vit: str) -> None:
    for path in (resnet, vit):
        encoder, images = TransformersEncoder(path), pictures(3)
        several = levels(encoder)
        last = TransformersEncoder(path, layer=-1).encode(images)
        found = several.encode(images)
        assert found.shape[1] > last.shape[1]
        np.testing.assert_allclose(found[:, -last.shape[1] :], last, atol=1e-5)
        assert several.fingerprint != encoder.fingerprint
        assert encoder.encode(images).shape == last.shape
    assert levels(load_encoder("layout")).fingerprint == load_encoder("layout").fingerprint


def test_rectified_features_are_known_to_be_non_negative(resnet: str, vit: str) -> None:
    assert TransformersEncoder(resnet).non_negative
    assert not TransformersEncoder(vit).non_negative


@pytest.mark.parametrize("in_hardware", [False, True])
def test_bfloat16_is_close_to_float32(
    in_hardware: bool,
    resnet: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNTRAIN_FAST_BFLOAT16", str(int(in_hardware)))
    exact = TransformersEncoder(resnet).encode(pictures(2))
    assert not capsys.readouterr().err
    fast = TransformersEncoder(resnet, dtype="bfloat16").encode(pictures(2))
    assert ("no bfloat16 instructions" in capsys.readouterr().err) != in_hardware
    assert fast.dtype == np.float32
    cosine = (exact * fast).sum() / np.linalg.norm(exact) / np.linalg.norm(fast)
    assert cosine > 0.999


def test_fingerprint_follows_weights_and_options(resnet: str, tmp_path: Path) -> None:
    first = TransformersEncoder(resnet).fingerprint
    assert TransformersEncoder(resnet, batch_size=7).fingerprint == first
    assert TransformersEncoder(resnet, pooling="flatten").fingerprint != first
    assert TransformersEncoder(resnet, layer=0).fingerprint != first
    model = ResNetModel.from_pretrained(resnet)
    assert TransformersEncoder(save(model, tmp_path / "copy")).fingerprint == first
    with torch.no_grad():
        next(model.parameters())[0] += 1e-3
    assert TransformersEncoder(save(model, tmp_path / "other")).fingerprint != first


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"hf download .*`encoder: layout`"):
        load_encoder("transformers", path="nobody/no-such-model")
    with pytest.raises(InputError, match=r"preprocessor_config\.json"):
        load_encoder("transformers", path=str(tmp_path))


@pytest.mark.parametrize(
    "option", [{"pooling": "max"}, {"dtype": "float16"}, {"layer": "first"}, {"batch_size": 0}]
)
def test_options_out_of_range_are_refused(resnet: str, option: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(option))):
        load_encoder("transformers", path=resnet, **option)


@pytest.mark.parametrize(("name", "length"), [("mobilenet_v2", 1280), ("resnet50_conv4", 1024)])
def test_real_weights_tell_like_from_unlike(name: str, length: int) -> None:
    if not (WEIGHTS / name).is_dir():
        pytest.skip(f"the weights are not here (shared/weights/{name})")
    encoder = TransformersEncoder(str(WEIGHTS / name))
    assert encoder.non_negative
    rows, columns = np.mgrid[0:64, 0:64]
    stripes = np.repeat(((rows // 8 % 2) * 255)[..., None], 3, axis=2).astype(np.uint8)
    disc = np.full((64, 64, 3), 255, np.uint8)
    disc[np.hypot(rows - 32, columns - 32) < 20] = (200, 30, 30)
    features = encoder.encode([stripes, np.roll(stripes, 2, axis=0), disc])
    assert features.shape == (3, length)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]
