"""The guard: copies are stopped, other pictures pass, and how often it errs is said."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import untrain
from tests.helpers.commands import Untrain, command_line
from untrain.api.guard import Guard
from untrain.catalogs import Catalog, export_folder, hold_out, load_catalog
from untrain.core.errors import InputError
from untrain.search.guard_calibration import HELD_OUT, TRAINING, GuardCalibration, calibrate_guard


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog("rendered", families=12, size_of_family=2, resolution=128)


@pytest.fixture(scope="module")
def guard(catalog: Catalog) -> Guard:
    return Guard(catalog, calibrated=False)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_the_same_bytes_are_the_same_picture(guard: Guard, catalog: Catalog) -> None:
    found = guard.check(catalog.read(catalog.ids[3]), "mine")
    assert found.too_near and found.kinds == ("identical",) and found.distance == 0
    assert (found.name, found.nearest) == ("mine", catalog.ids[3])
    assert found.copies == (catalog.ids[3],)


def test_an_edited_picture_is_stopped_as_array_file_and_image(
    guard: Guard, catalog: Catalog, tmp_path: Path
) -> None:
    image = catalog.image(catalog.ids[5])
    for edited in (image, ImageOps.mirror(image), image.resize((100, 100))):
        edited.save(tmp_path / "p.jpg", quality=92)
        answers = [guard.check(tmp_path / "p.jpg"), guard.check(str(tmp_path / "p.jpg"))]
        answers += [guard.check(edited), guard.check(np.asarray(edited))]
        for found in answers:
            assert found.too_near, edited.size
            assert found.nearest == catalog.ids[5]
            assert "identical" not in found.kinds
            assert 0 <= found.distance <= found.threshold == guard.threshold
    assert answers[0].name == "p.jpg"


def test_another_picture_passes_and_its_nearest_is_named(guard: Guard) -> None:
    found = guard.check(noise())
    assert not found.too_near and found.kinds == () and found.copies == ()
    assert found.distance > found.threshold
    assert found.nearest in guard.catalog.ids
    assert json.loads(json.dumps(found.to_dict()))["copies"] == []


def test_the_answer_does_not_depend_on_what_was_asked_before(
    guard: Guard, catalog: Catalog
) -> None:
    pictures = {"a": np.asarray(catalog.image(catalog.ids[0])), "b": noise(), "c": noise(1)}
    one_by_one = [guard.check(p).distance for p in pictures.values()]
    assert [each.distance for each in guard.check_all(pictures)] == one_by_one
    assert guard.check(pictures["a"]).distance == one_by_one[0]


def test_a_threshold_of_one_s_own(catalog: Catalog) -> None:
    strict = Guard(catalog, threshold=0.999, calibrated=False)
    assert strict.check(noise()).too_near == (strict.check(noise()).distance <= 0.999)
    with pytest.raises(InputError, match="threshold is 1"):
        Guard(catalog, threshold=1)
    with pytest.raises(InputError, match="mode is 'quick'"):
        Guard(catalog, mode="quick")


def test_with_variants_no_less_is_held_back(catalog: Catalog) -> None:
    image = catalog.image(catalog.ids[5])
    red, green, blue = image.split()
    swapped = Image.merge("RGB", (blue, green, red))
    plain, strict = (Guard(catalog, variants=v, calibrated=False) for v in (False, True))
    assert strict.to_dict()["variants"] and not plain.to_dict()["variants"]
    for picture in (image, image.resize((100, 100)), swapped, noise()):
        found, held = plain.check(picture), strict.check(picture)
        assert held.too_near >= found.too_near
        assert found.too_near or found.verdict != "copy"
    assert strict.check(swapped).distance < plain.check(swapped).distance


def test_images_too_alike_for_the_test_are_said_to_be(catalog: Catalog) -> None:
    guard = Guard(catalog, calibrated=False)
    assert guard.tells_apart and guard.false_positives is None
    guard.calibration = GuardCalibration(np.linspace(0, 0.1, 50), 0, TRAINING)
    del guard.__dict__["false_positives"]
    assert not guard.tells_apart and guard.to_dict()["false_positives"]["flagged"] > 10


@pytest.mark.parametrize("picture", [np.zeros((4, 4, 2)), np.zeros((0, 4, 3), np.uint8), b"no"])
def test_what_is_no_picture_is_refused(guard: Guard, picture: object) -> None:
    with pytest.raises(InputError, match="picture"):
        guard.check(picture)  # type: ignore[arg-type]


def test_the_calibration_counts_known_numbers() -> None:
    made = GuardCalibration(np.array([0.1, 0.2, 0.3, 0.4]), 1, HELD_OUT)
    told = made.false_positives(0.2)
    assert (told["flagged"], told["pictures"], told["rate"], told["copies"]) == (2, 4, 0.5, 1)
    assert told["low"] == pytest.approx(0.0676, abs=1e-4)  # Clopper–Pearson, 2 of 4
    assert told["high"] == pytest.approx(0.9324, abs=1e-4)
    assert made.p_value(0.05) == 0.2 and made.p_value(0.2) == 0.6 and made.p_value(1) == 1
    assert GuardCalibration(np.empty(0), 0, TRAINING).false_positives(0.1)["rate"] is None


def test_held_out_pictures_are_asked_or_training_images_leave_themselves_out(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / "cache"))
    train, held_out = hold_out(catalog, 0.3, 0)
    asked: list[int] = []

    def nearest(picture: np.ndarray, own: int) -> tuple[float, bool]:
        asked.append(own)
        return 0.5, len(asked) == 1

    made = calibrate_guard(train, held_out, nearest)
    assert made.of == HELD_OUT and set(asked) == {-1} and len(asked) == len(held_out)
    assert made.copies == 1 and len(made.distances) == len(held_out) - 1
    asked.clear()
    assert calibrate_guard(train, None, nearest, sample=5).of == TRAINING
    assert len(set(asked)) == 5 and min(asked) >= 0
    first = Guard(train)  # and is kept in the cache
    told = first.false_positives
    assert told is not None and told["pictures"] + told["copies"] == len(train)
    monkeypatch.setattr("untrain.search.guard_calibration.calibrate_guard", None)
    again = Guard(train)
    assert again.false_positives == told
    assert again.check(noise()).p_value is not None


def test_a_run_is_guarded_with_its_hold_out(micro_run: Path) -> None:
    guard = untrain.Guard(micro_run)
    assert guard.false_positives is not None and guard.false_positives["of"] == HELD_OUT
    image = guard.catalog.ids[0]
    assert guard.check(guard.catalog.read(image)).nearest == image
    assert guard.to_dict()["images"] == len(guard.catalog)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Untrain:
    return command_line(monkeypatch, capsys)


@pytest.fixture
def photos(catalog: Catalog, tmp_path: Path) -> Path:
    export_folder(catalog, [], tmp_path / "photos")
    Image.fromarray(noise()).save(tmp_path / "new.png")
    catalog.image(catalog.ids[2]).save(tmp_path / "old.jpg", quality=90)
    return tmp_path / "photos"


@pytest.mark.slow
def test_exit_codes_of_the_command(call: Untrain, photos: Path, catalog: Catalog) -> None:
    new, old = photos.parent / "new.png", photos.parent / "old.jpg"
    assert call("guard", new, "-c", photos).code == 0
    said = call("guard", new, old, "-c", photos)
    assert said.code == 1 and f"too near to {catalog.ids[2]}" in said.out
    assert "no copy found" in said.out and "95 % interval" in said.out
    said = call("guard", old, "-c", photos, "--json")
    found = json.loads(said.out)
    assert said.code == 1 and found["too_near"]
    assert found["pictures"][0]["nearest"] == catalog.ids[2]
    assert found["false_positives"]["of"] == TRAINING
    for bad in (["guard", old], ["guard", old, "-c", photos, "--lines"], ["guard", "-c", photos]):
        assert call(*bad).code == 2
    said = call("guard", photos.parent / "none.png", "-c", photos)
    assert said.code == 2 and "does not exist" in said.err


def test_lines_are_answered_one_by_one_and_faults_do_not_end_it(
    call: Untrain, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [photos.parent / "new.png", photos / "none.png", photos.parent / "old.jpg"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(str, paths)) + "\n\n"))
    said = call("guard", "-c", photos, "--lines")
    ready, new, none, old = map(json.loads, said.out.splitlines())
    assert ready["ready"] and ready["false_positives"]["rate"] is not None
    assert (new["too_near"], old["too_near"]) == (False, True)
    assert "does not exist" in none["error"] and none["name"] == str(paths[1])
    assert said.code == 1
