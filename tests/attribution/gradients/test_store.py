"""The gradient store survives kills, full disks and company, and tells one model from another."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.generators import silent
from tests.helpers.networks import Sketcher, queries_of
from untrain.attribution.gradients import store as stores
from untrain.attribution.gradients.kernel import solved
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.store import GradientStore, digests_of_pairs
from untrain.catalogs import Catalog
from untrain.core import growing
from untrain.core.atomic import discard_folder
from untrain.core.errors import InputError
from untrain.generators.pictures_only import PicturesOnly

Make = Callable[..., Sketcher]
DIMENSIONS = 72  # shared out without a rest
ROW = 2 * DIMENSIONS  # bytes
FILES = ("rows.bin", "scales.bin", "hashes.bin")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes of seven pairs, written at once."""
    monkeypatch.setattr(stores, "BATCH", 7)
    monkeypatch.setattr(stores, "BLOCK", 1)


@pytest.fixture
def make(sketcher: Make, catalog: Catalog, tmp_path: Path) -> Callable[..., GradientStore]:
    def made(
        output: str = "nll", dimensions: int = DIMENSIONS, folder: str = "own", **options: int
    ) -> GradientStore:
        return GradientStore(
            sketcher("dense"), catalog, OUTPUTS[output], dimensions, folder=tmp_path / folder,
            **options,
        )  # fmt: skip

    return made


def content(store: GradientStore) -> list[bytes]:
    return [(store.folder / name).read_bytes() for name in FILES]


def known(store: GradientStore) -> int:
    """Return how many of its pairs' rows are there."""
    return int((store.table.find(digests_of_pairs(store.catalog)) >= 0).sum())


def test_rows_are_the_gradients_up_to_half_precision(
    make: Callable[..., GradientStore], sketcher: Make, catalog: Catalog
) -> None:
    store = make(dimensions=0)
    rows = store.rows.block(slice(None))
    assert rows.shape == (len(catalog), 16 * 33 + 192 * 16)
    asked = sketcher("dense")
    for row in (0, 6, 7, 39):
        loss = asked.pair_losses(asked.training_batch(catalog, catalog.ids[row : row + 1]))[0]
        module = asked.module()
        first, bias, last = torch.autograd.grad(loss, [module[0].weight, module[0].bias,
                                                       module[2].weight])  # fmt: skip
        expected = torch.cat([torch.cat([first, bias[:, None]], 1).flatten(), last.flatten()])
        apart = np.linalg.norm(rows[row] - expected.numpy()) / expected.norm()
        assert apart < 5e-4


def test_the_batch_does_not_matter(
    make: Callable[..., GradientStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = make(folder="small").rows.block(slice(None))
    monkeypatch.setattr(stores, "BATCH", 40)
    monkeypatch.setattr(stores, "BLOCK", 1 << 20)
    large = make(folder="large").rows.block(slice(None))
    apart = np.linalg.norm(small - large, axis=1) / np.linalg.norm(large, axis=1)
    assert apart.max() < 1e-3


@pytest.mark.parametrize(
    ("rows", "scales", "hashes"),
    [(0, 0, 0), (1, 0, 0), (7 * ROW, 0, 0), (7 * ROW + 5, 28, 7 * 32 - 1), (14 * ROW, 41, 9 * 32),
     (21 * ROW - 1, 21 * 4, 40 * 32), (40 * ROW, 39 * 4, 40 * 32), (40 * ROW, 40 * 4, 40 * 32 - 1),
     (40 * ROW + 77, 40 * 4 - 1, 40 * 32 + 5)],
)  # fmt: skip
def test_what_a_kill_left_is_made_whole(
    make: Callable[..., GradientStore], rows: int, scales: int, hashes: int
) -> None:
    store = make()
    assert len(store.rows) == 40
    whole = content(store)
    for name, size in zip(FILES, (rows, scales, hashes), strict=True):
        with (store.folder / name).open("r+b") as file:
            file.truncate(size)
    expected = np.frombuffer(whole[0], np.float16).reshape(40, DIMENSIONS)
    found = make().rows.stored
    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=5e-3)
    assert [len(part) for part in content(store)] == [40 * ROW, 40 * 4, 40 * 32]


@pytest.mark.parametrize("written", ["", "{", '{"version": 0, "dimensions": 72}', "[]", "null"])
def test_a_description_that_is_broken_is_written_again(
    make: Callable[..., GradientStore], written: str
) -> None:
    store = make()
    assert len(store.rows) == 40
    (store.folder / "meta.json").write_text(written)
    assert len(make().rows) == 40
    assert json.loads((store.folder / "meta.json").read_text())["version"] == stores.VERSION


def test_what_is_there_is_not_computed_again(
    make: Callable[..., GradientStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make().rows.block(slice(None))
    monkeypatch.setattr(GradientStore, "_of_pairs", None)  # cannot be called
    np.testing.assert_array_equal(make().rows.block(slice(None)), first)


def test_an_interrupted_one_goes_on(
    make: Callable[..., GradientStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = GradientStore._of_pairs, []

    def stopping(self: GradientStore, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
        asked.append(ids[0])
        if len(asked) == 4:
            raise KeyboardInterrupt
        return real(self, catalog, ids)

    monkeypatch.setattr(GradientStore, "_of_pairs", stopping)
    with pytest.raises(KeyboardInterrupt):
        _ = make().rows
    assert len(make().rows) == 40
    assert asked[4] == asked[3]  # begun again where it stopped, not before


def test_models_outputs_and_projections_have_stores_of_their_own(
    make: Callable[..., GradientStore], sketcher: Make, catalog: Catalog
) -> None:
    other = sketcher("dense", seed=1)
    keys = [
        make().key,
        make("squared").key,
        make(dimensions=32).key,
        make(seed=1).key,
        make(draws=2).key,
        GradientStore(other, catalog, OUTPUTS["nll"], DIMENSIONS).key,
    ]
    assert len(set(keys)) == len(keys) and make().key == keys[0]


def test_a_model_that_learns_on_has_another_store(
    make: Callable[..., GradientStore], catalog: Catalog
) -> None:
    model = Sketcher()
    model.fit(catalog, [], 0, silent)
    first = GradientStore(model, catalog, OUTPUTS["nll"], DIMENSIONS).key
    assert first == make().key  # the same weights, whoever holds them
    with torch.no_grad():
        model.module()[0].bias[0] += 1e-3
    assert GradientStore(model, catalog, OUTPUTS["nll"], DIMENSIONS).key != first


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gradients_that_are_no_numbers_are_named(
    make: Callable[..., GradientStore], sketcher: Make, catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch, value: float,
) -> None:  # fmt: skip
    real = Sketcher.training_batch

    def broken(self: Sketcher, catalog: Catalog, ids: Sequence[str], draw: int = 0) -> dict:
        batch = real(self, catalog, ids, draw)
        for row, image_id in enumerate(ids):
            if image_id in (catalog.ids[9], catalog.ids[11]):
                batch["pictures"][row, 0, 0, 0] = value
        return batch

    monkeypatch.setattr(Sketcher, "training_batch", broken)
    store = make()
    with pytest.raises(InputError, match=f"gradient of {catalog.ids[9]}, {catalog.ids[11]} is not"):
        _ = store.rows
    monkeypatch.setattr(Sketcher, "training_batch", real)
    assert known(store) == 7  # what was written before is kept
    assert len(make().rows) == 40


def test_queries_that_are_no_numbers_are_named(
    make: Callable[..., GradientStore], sketcher: Make, catalog: Catalog
) -> None:
    queries = queries_of(sketcher("dense"), catalog, [3, 5])
    samples = np.asarray(queries.samples, np.float32)
    samples[1, 0, 0] = np.nan
    broken = type(queries)(queries.keys, queries.texts, queries.pictures, samples)
    with pytest.raises(InputError, match="gradient of query 0 of p05 is not finite"):
        make().of_queries(broken)
    pictures = type(queries)(queries.keys, queries.texts, queries.pictures)
    with pytest.raises(InputError, match="encode them with the generator first"):
        make().of_queries(pictures)


def test_a_full_disk_loses_nothing(
    make: Callable[..., GradientStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = growing.append_at

    def full(path: Path, start: int, array: np.ndarray) -> None:
        if start >= 21 * ROW:
            with path.open("ab") as file:
                file.write(b"some")
            raise OSError(ENOSPC, "No space left on device")
        real(path, start, array)

    with monkeypatch.context() as patch:
        patch.setattr(growing, "append_at", full)
        with pytest.raises(InputError, match=r"disk is full: .* 40 pairs .*fewer dimensions"):
            _ = make().rows
    assert known(make()) == 21
    assert len(make().rows) == 40


def test_an_emptied_cache_is_filled_again(
    make: Callable[..., GradientStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, passes = GradientStore._of_pairs, []

    def emptying(self: GradientStore, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
        passes.append(ids)
        if len(passes) == 3:
            discard_folder(self.folder)
        return real(self, catalog, ids)

    expected = make(folder="other").rows.block(slice(None))
    monkeypatch.setattr(GradientStore, "_of_pairs", emptying)
    found = make().rows.block(slice(None))
    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=1e-4)
    assert len(passes) > 6


def test_two_at_a_time_write_the_same(make: Callable[..., GradientStore]) -> None:
    expected = make(folder="other").rows.block(slice(None))
    first, second = make(), make()
    catalog = first.catalog
    digests = digests_of_pairs(catalog)
    for start in range(0, 40, 10):
        known, part = (
            digests[start : start + 10],
            first.compute(catalog, catalog.ids[start : start + 10]),
        )
        second.add(known[:6], *(each[:6] for each in part))  # one is quicker, of a smaller block
        first.add(known, *part)
        second.add(known[6:], *(each[6:] for each in part))
    np.testing.assert_allclose(first.rows.block(slice(None)), expected, rtol=5e-3, atol=1e-4)
    np.testing.assert_array_equal(second.rows.stored, first.rows.stored)
    assert len(content(first)[2]) == 40 * 32


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 39), max_size=40), st.lists(st.integers(0, 39), max_size=40))
def test_rows_of_what_was_added_are_those_of_a_fresh_store(
    sketcher: Make, catalog: Catalog, first: list[int], second: list[int]
) -> None:
    """Whatever was stored before, and whether the catalogue grew, shrank or both."""
    model = sketcher("dense")
    with TemporaryDirectory() as folder:
        grown, fresh = (
            GradientStore(model, catalog, OUTPUTS["nll"], DIMENSIONS, folder=Path(folder, name))
            for name in ("grown", "fresh")
        )
        grown.rows_of(catalog.subset([catalog.ids[row] for row in first]))
        asked = catalog.subset([catalog.ids[row] for row in second])
        found, expected = (store.rows_of(asked).block(slice(None)) for store in (grown, fresh))
        np.testing.assert_allclose(found, expected, rtol=5e-3, atol=1e-4)
        assert len(grown.table) == len({*first, *second})
        np.testing.assert_allclose(
            solved(found, grown.rows, grown.inverse(0.1)),
            solved(expected, fresh.rows, fresh.inverse(0.1)),
            rtol=2e-2,
            atol=1e-3,
        )


def test_only_what_is_new_is_computed(
    make: Callable[..., GradientStore], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, computed = make(), []
    some = catalog.subset(catalog.ids[::2])
    store.rows_of(some)
    real = GradientStore._of_pairs

    def counting(self: GradientStore, catalog: Catalog, ids: Sequence[str]) -> np.ndarray:
        computed.extend(ids)
        return real(self, catalog, ids)

    monkeypatch.setattr(GradientStore, "_of_pairs", counting)
    captions = ["another one", *catalog.captions[1:]]
    hashes = [*catalog.hashes[:2], "other", *catalog.hashes[3:]]
    make().rows_of(replace(catalog, captions=captions, hashes=hashes))
    assert computed == sorted({catalog.ids[0], catalog.ids[2], *catalog.ids[1::2]})
    computed.clear()
    make().rows_of(some)
    assert not computed


def test_one_that_gives_no_gradients_is_refused(catalog: Catalog) -> None:
    with pytest.raises(InputError, match="has no pair_predictions"):
        GradientStore(PicturesOnly((8, 8)), catalog, OUTPUTS["squared"], 10)
    with pytest.raises(InputError, match="gives no gradients"):
        GradientStore(PicturesOnly((8, 8)), catalog, OUTPUTS["nll"], 10)
