"""The comparison table holds each pair's metrics in the row of that pair."""

import numpy as np
import pytest

from untrain.search.comparison import COLUMNS, compare
from untrain.search.feature_metrics import feature_metrics
from untrain.search.pixel_metrics import pixel_metrics, resize_folder


def test_each_row_holds_the_metrics_of_its_pair() -> None:
    random = np.random.default_rng(0)
    generated = [random.integers(0, 256, (16, 12, 3), np.uint8) for _ in range(2)]
    candidates = [random.integers(0, 256, (20 + n, 14, 3), np.uint8) for n in range(3)]
    e, f = random.random((2, 5), np.float32), random.random((3, 5), np.float32)
    table = compare("p7", generated, ["c", "a", "b"], candidates, e, f)

    assert tuple(table.columns) == COLUMNS
    assert table["prompt_id"].eq("p7").all()
    assert table["generation"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["image_id"].tolist() == ["c", "a", "b"] * 2
    resized = resize_folder([*generated, *candidates])
    pixels = pixel_metrics(resized[:2], resized[2:])
    features = feature_metrics(e, f)
    row = table[(table["generation"] == 1) & (table["image_id"] == "a")].iloc[0]
    assert row["pixel_ssim"] == pixels["ssim"][1, 1]
    assert row["feature_kl"] == features["kl"][1, 1]


def test_ids_and_pictures_must_match() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    feature = np.zeros((1, 2), np.float32)
    with pytest.raises(ValueError, match="differ in number"):
        compare("p", [picture], ["a", "b"], [picture], feature, feature)
