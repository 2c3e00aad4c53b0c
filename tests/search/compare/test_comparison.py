"""The comparison table holds each pair's metrics in the row of that pair."""

import numpy as np
import pandas as pd
import pytest

from untrain.search.compare.comparison import (
    KEYS,
    compare,
    of_prompts,
    undefined_notes,
)
from untrain.search.compare.extra import hamming, perceptual_hashes, standard_ssim
from untrain.search.compare.features import cosine, feature_metrics
from untrain.search.compare.metrics import METRICS, Metric, Sides, Step
from untrain.search.compare.pixel import pixel_metrics, resize_folder

GIVEN = ("pooled", "captions", "words")  # what not every comparison has
ALWAYS = [name for name in METRICS if METRICS[name].needs not in GIVEN]
COLUMNS = (*KEYS, *ALWAYS)


def inputs() -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    generated = [random.integers(0, 256, (16, 12, 3), np.uint8) for _ in range(2)]
    candidates = [random.integers(0, 256, (20 + n, 14, 3), np.uint8) for n in range(3)]
    return generated, candidates, random.random((2, 5), np.float32), random.random((3, 5))


def test_each_row_holds_the_metrics_of_its_pair() -> None:
    generated, candidates, e, f = inputs()
    table = compare("p7", generated, ["c", "a", "b"], candidates, e, f)

    assert tuple(table.columns) == COLUMNS
    assert table["prompt_id"].eq("p7").all()
    assert table["generation"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["image_id"].tolist() == ["c", "a", "b"] * 2
    assert undefined_notes(table) == []
    resized = resize_folder([*generated, *candidates])
    pixels = pixel_metrics(resized[:2], resized[2:])
    row = table[(table["generation"] == 1) & (table["image_id"] == "a")].iloc[0]
    assert row["pixel_ssim"] == pixels["ssim"][1, 1]
    assert row["pixel_ssim_standard"] == standard_ssim(resized[:2], resized[2:])[1, 1]
    assert row["feature_kl"] == feature_metrics(e, f)["kl"][1, 1]
    # The hash is of the pictures as they are, whatever else is compared.
    hashes = perceptual_hashes([generated[1]]), perceptual_hashes([candidates[1]])
    assert row["pixel_phash"] == hamming(*hashes).item()


def test_pooled_features_and_text_add_their_columns() -> None:
    generated, candidates, e, f = inputs()
    text = {"tfidf": np.array([0.5, 0.1, 0.2]), "clip": np.array([0.3, 0.2, 0.1])}
    pooled = e[:, :2], f[:, :2]
    table = compare("p", generated, ["c", "a", "b"], candidates, e, f, pooled=pooled, text=text)
    assert tuple(table.columns) == (*KEYS, *METRICS)
    assert table["text_tfidf"].tolist() == [0.5, 0.1, 0.2] * 2
    assert table["text_clip"].tolist() == [0.3, 0.2, 0.1] * 2
    np.testing.assert_array_equal(table["pooled_cosine"], cosine(*pooled).ravel())


def test_every_metric_has_a_direction_and_equal_pictures_are_nearest() -> None:
    assert all(METRICS[name].name == name for name in METRICS)
    assert len({METRICS[name].label for name in METRICS}) == len(list(METRICS))
    generated, candidates, e, f = inputs()
    candidates, f = [*candidates, generated[0]], np.vstack([f, e[:1]])
    table = compare("p", generated, list("abcd"), candidates, e, f)
    mine = table[table["generation"] == 0].set_index("image_id")
    for name in ALWAYS:
        if name != "feature_kl":  # unnormalised, it can fall below its value for equal features
            scores = mine[name] * METRICS[name].direction
            assert scores["d"] == scores.max(), name


def test_what_is_undefined_is_nan_and_noted() -> None:
    generated, candidates, e, f = inputs()
    e[0, 0] = -0.1
    black = [np.zeros((5, 5, 3), np.uint8), *(picture[:6] for picture in generated[1:])]
    table = compare("p", black, list("abc"), [picture[:6] for picture in candidates], e, f)
    undefined = {"pixel_cosine", "pixel_ssim", "pixel_ssim_standard", "feature_kl"}
    assert set(table.columns[table.isna().any()]) == undefined
    assert table["pixel_cosine"].isna().sum() == 3
    assert [str(note) for note in undefined_notes(table)] == [
        "pixel_cosine is undefined for 3 of 6 pairs: a picture is black",
        "pixel_ssim is undefined for 6 of 6 pairs: the pictures are smaller than 7×7 pixels",
        "pixel_ssim_standard is undefined for 6 of 6 pairs: "
        "the pictures are smaller than 7×7 pixels",
        "feature_kl is undefined for 3 of 6 pairs: a feature of the generated picture "
        "is negative, or one is NaN or infinite",
    ]


def test_a_note_is_about_a_metric_and_says_which_prompts() -> None:
    table = pd.DataFrame(
        {"prompt_id": ["q", "q", "p"], "feature_kl": [1, np.nan, 2], "text_clip": [1, 2, np.nan]}
    )
    notes = undefined_notes(table)
    assert [note.about for note in notes] == [("feature_kl",), ("text_clip",)]
    assert {note.code for note in notes} == {"metric-undefined"}
    assert [str(note) for note in notes] == [
        "feature_kl is undefined for 1 of 3 pairs, for 1 of the prompts (q): a feature of the "
        "generated picture is negative, or one is NaN or infinite",
        "text_clip is undefined for 1 of 3 pairs, for 1 of the prompts (p): no value was given",
    ]
    assert of_prompts("abcda") == "for 4 of the prompts (a, b, c …)"


def test_a_new_metric_is_one_record() -> None:
    generated, candidates, e, f = inputs()

    def red(sides: Sides) -> dict[str, np.ndarray]:
        a, b = (side[..., 0].mean(axis=(1, 2)) for side in sides.resized)
        return {"red": np.abs(a[:, None] - b[None])}

    with METRICS.temporary(red=Metric("red", "redness", False, Step("red", "pixels", red))):
        table = compare("p", generated, list("abc"), candidates, e, f)
    assert tuple(table.columns) == (*COLUMNS, "red")
    assert table["red"].between(0, 255).all()


def test_no_candidates_make_an_empty_table() -> None:
    generated, _, e, f = inputs()
    table = compare("p", generated, [], [], e, f[:0])
    assert tuple(table.columns) == COLUMNS and table.empty


def test_ids_and_pictures_must_match() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    feature = np.zeros((1, 2), np.float32)
    with pytest.raises(ValueError, match="differ in number"):
        compare("p", [picture], ["a", "b"], [picture], feature, feature)
