"""A catalogue is embedded on a cluster: the same bytes, also when a node dies in the middle."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.catalogs import picture, small_catalog
from tests.helpers.clusters import Nodes
from tests.helpers.encoders import noted
from untrain.catalogs.base import Catalog
from untrain.core.cluster import pack
from untrain.core.errors import InputError
from untrain.encoders import Encoder, load_encoder, on_ray
from untrain.encoders.engines import embedding_on
from untrain.encoders.on_ray import packed
from untrain.encoders.store import FeatureStore
from untrain.search.sharded import write_shards

NOTING = "tests.helpers.encoders:noting"


def small(count: int, **broken: bytes) -> Catalog:
    return small_catalog({f"i{n}": picture(n) for n in range(count)} | broken)


def stored(encoder: Encoder, catalog: Catalog, folder: Path, **given: Any) -> dict[str, bytes]:
    """Return the bytes of a new feature store, without what tells the time."""
    FeatureStore(folder, encoder, **given).index(catalog, "indexing")
    return {name: data for name, data in pack(folder).items() if name.endswith(".bin")}


def tiny_vision(folder: Path) -> Path:
    """Save a tiny convolutional net with random weights."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    transformers.ResNetModel(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_a_parcel_is_the_encoder_it_was_made_of(tmp_path: Path) -> None:
    path = str(tiny_vision(tmp_path / "model"))
    options = {"pooling": "flatten"}
    encoder = load_encoder(path, **options)
    parcel = packed(encoder, path, options)
    assert set(parcel.files) == {"config.json", "preprocessor_config.json", "model.safetensors"}
    images = [np.asarray(small(1).image("i0"))]
    np.testing.assert_array_equal(parcel.open().encode(images), encoder.encode(images))
    pooled = packed(encoder.pooled(), path, options).open()  # type: ignore[attr-defined]
    assert pooled.encode(images).shape == (1, 16)


def test_a_parcel_with_another_encoder_in_it_is_refused() -> None:
    layout = load_encoder("layout")
    wrong = on_ray.Parcel("layout", {}, {}, "another")
    assert packed(layout, "layout", {}).open().fingerprint == layout.fingerprint
    with pytest.raises(InputError, match=r"is another on the node .* install the same packages"):
        wrong.open()


def test_engines_of_embedding() -> None:
    with pytest.raises(InputError, match="did you mean 'ray'"):
        embedding_on("rai", "layout", {})
    with pytest.raises(InputError, match="'auto' is of no use to the engine 'local'"):
        embedding_on("local", "layout", {}, "auto")


@pytest.mark.slow
def test_a_node_is_lost_while_it_embeds(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "PART", 16)
    (notes := tmp_path / "notes").mkdir()
    options = {"notes": str(notes), "nodes": 2}
    encoder, catalog = load_encoder(NOTING, **options), small(150)
    here = stored(encoder, catalog, tmp_path / "here")
    assert not any(notes.iterdir())
    embed = embedding_on("ray", NOTING, options, nodes.cluster.address)

    def lose() -> None:
        while nodes.second.node_id not in noted(notes):
            time.sleep(0.02)
        time.sleep(0.1)
        nodes.cluster.remove_node(nodes.second, allow_graceful=False)

    thief = threading.Thread(target=lose, daemon=True)
    thief.start()
    there = stored(encoder, catalog, tmp_path / "there", embed=embed)
    thief.join(60)
    assert here == there
    assert {Path(name).name for name in here} == {"features.bin", "hashes.bin", "sums.bin"}
    assert noted(notes) == {nodes.second.node_id, nodes.cluster.head_node.node_id}


@pytest.mark.slow
def test_a_model_and_its_shards_through_a_client(nodes: Nodes, tmp_path: Path) -> None:
    path = str(tiny_vision(tmp_path / "model"))
    made_of: tuple[str, dict[str, Any]] = (path, {"pooling": "mean"})
    encoder, catalog = load_encoder(path, **made_of[1]), small(70)
    embed = embedding_on("ray", *made_of, nodes.client)
    folders = tmp_path / "here", tmp_path / "there"
    write_shards(catalog, encoder, folders[0], made_of, rows=32)
    write_shards(catalog, encoder, folders[1], made_of, embed, rows=32)
    assert pack(folders[0]) == pack(folders[1])
    assert stored(encoder, catalog, tmp_path / "a") == stored(
        encoder, catalog, tmp_path / "b", embed=embed
    )
    broken = small(70, broken=b"no picture")
    with pytest.raises(InputError, match="'broken' is not in an image format"):
        write_shards(broken, encoder, tmp_path / "broken", made_of, embed, rows=32)
