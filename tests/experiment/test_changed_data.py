"""Images that are exchanged under a run: noticed, whatever their size and time say."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.folders import assert_same_results
from untrain.catalogs import export_folder, rendered
from untrain.core.errors import InputError
from untrain.encoders.layout import LayoutEncoder
from untrain.encoders.store import FeatureStore
from untrain.experiment.pipeline import run_stages
from untrain.runs.run import Run
from untrain.settings.load import make_config


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    export_folder(rendered(families=8, size_of_family=4, resolution=16), [], tmp_path / "photos")
    return tmp_path / "photos"


def opened(photos: Path, name: str) -> Run:
    """An experiment on a folder, its data read and checked; nothing is drawn twice."""
    run = Run(
        make_config(
            {
                "name": name,
                "runs": str(photos.parent / name),
                "data": {"format": "folder", "path": str(photos)},
                "prompts": {"texts": ["a red shirt", "a blue bag"]},
                "generator": {"preset": "micro", "settings": {"epochs": 1}},
                "generations": 1,
                "retrieval": {"top": 10},
                "removal": {"arms": ["targeted", "random_uniform"], "k": [2], "draws": 2},
                "design": {"models": 4},
                "evaluation": {"draws": 100},
                "workers": 1,
            }
        )
    )
    assert len(run.catalog)
    return run


def exchange(photos: Path) -> tuple[Path, bytes]:
    """Put another picture in an image's place, with its time; return the image and its bytes."""
    first, second = sorted(photos.glob("*.png"))[:2]
    before, state = first.read_bytes(), first.stat()
    shutil.copyfile(second, first)
    os.utime(first, ns=(state.st_atime_ns, state.st_mtime_ns))
    return first, before


@pytest.mark.slow
def test_an_image_exchanged_in_mid_run_stops_it_and_nothing_wrong_is_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    undisturbed = opened(photos, "undisturbed")
    run_stages(undisturbed)

    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "other-cache"))
    run = opened(photos, "disturbed")
    run_stages(run, "generate")
    image, before = exchange(photos)
    with pytest.raises(InputError, match=f"image '{image.stem}' is not the one it was"):
        run_stages(run)

    image.write_bytes(before)
    run_stages(Run(run.config))
    assert_same_results(undisturbed.folder, run.folder)


def test_features_are_filed_under_what_was_embedded(photos: Path, tmp_path: Path) -> None:
    catalog = opened(photos, "features").catalog
    image, before = exchange(photos)
    store = FeatureStore(tmp_path / "store", LayoutEncoder())
    with pytest.raises(InputError, match="is not the one it was"):
        store.features(catalog, [image.stem], "test")
    image.write_bytes(before)
    expected = LayoutEncoder().encode([catalog.pixels((16, 16), [image.stem])[0]])
    found = store.features(catalog, [image.stem], "test")
    assert found == pytest.approx(expected, abs=1e-3)


def test_data_that_changed_between_two_calls_are_told_of(photos: Path) -> None:
    run = opened(photos, "between")
    run_stages(run, "generate")
    image, _ = exchange(photos)
    os.utime(image)
    again = opened(photos, "between")
    run_stages(again, "generate")
    codes = [note["code"] for note in again.record["catalog"]["warnings"]]
    assert "data-changed" in codes
    text = next(n["text"] for n in again.record["catalog"]["warnings"] if n["code"] == codes[0])
    assert f"1 of its {len(again.catalog)} pairs" in text
