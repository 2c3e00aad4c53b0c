import numpy as np
import pandas as pd
import pytest

from tests.helpers.places import SHARED
from untrain.core.errors import InputError
from untrain.evaluation.study_table import column_means, folder_name, study_table

PUBLISHED = {  # before, after; cut, not rounded
    1: (0.546, 0.522),
    2: (0.537, 0.488),
    3: (0.512, 0.481),
    4: (0.519, 0.475),
    5: (0.550, 0.508),
    6: (0.531, 0.492),
    7: (0.553, 0.518),
    8: (0.523, 0.486),
    9: (0.544, 0.510),
    10: (0.526, 0.504),
}
# In these two the published "after" is not the mean of the published rows.
OWN_MEAN = {1: 0.5296, 2: 0.4797}


def cosines(**values: list[float]) -> pd.DataFrame:
    rows = [(p, g, v) for p, of_prompt in values.items() for g, v in enumerate(of_prompt)]
    return pd.DataFrame(rows, columns=["prompt_id", "generation", "cosine"])


def test_the_table_has_the_studys_columns_and_summary_row():
    table = study_table(
        cosines(p1=[0.5, 0.7], p2=[0.2, 0.4]),
        cosines(p2=[0.1, 0.1], p1=[0.3, 0.5]),
        {"p1": "Nike Red Shoes", "p2": "x " * 80},
    )
    assert list(table) == ["Folder", "Mean_1", "Min_1", "Max_1", "Mean_2", "Min_2", "Max_2"]
    assert list(table["Folder"][:2]) == ["Nike_Red_Shoes", "x_" * 50]
    assert pd.isna(table["Folder"][2])
    np.testing.assert_allclose(table.iloc[0, 1:].astype(float), [0.6, 0.5, 0.7, 0.4, 0.3, 0.5])
    np.testing.assert_allclose(table.iloc[2, 1:].astype(float), [0.45, 0.35, 0.55, 0.25, 0.2, 0.3])


def test_prompts_of_the_same_folder_name_keep_a_row_each():
    long = "a" * 100
    values = cosines(p1=[0.1], p2=[0.9])
    table = study_table(values, values, {"p1": long + " red", "p2": long + " blue"})
    assert list(table["Mean_1"]) == pytest.approx([0.1, 0.9, 0.5])
    assert table["Folder"][0] == table["Folder"][1] == folder_name(long)


def test_a_prompt_without_pictures_is_an_error():
    with pytest.raises(InputError, match="'p2' has no pictures after"):
        study_table(cosines(p1=[0.1], p2=[0.2]), cosines(p1=[0.1]), {"p1": "a", "p2": "b"})


@pytest.mark.parametrize("number", PUBLISHED)
def test_the_published_tables_are_recomputed_from_their_rows(number):
    path = SHARED / f"data/seed/metrics_after_unlearning/similarity_results__{number}.csv"
    if not path.exists():
        pytest.skip("the study's tables (shared/data/seed) are not beside the checkout")
    rows = pd.read_csv(path)
    means, summary = column_means(rows), rows[rows["Folder"].isna()].iloc[0]
    before, after = PUBLISHED[number]
    assert np.floor(means["Mean_1"] * 1000) / 1000 == before
    if number in OWN_MEAN:
        assert means["Mean_2"] == pytest.approx(OWN_MEAN[number], abs=5e-5)
        assert np.floor(summary["Mean_2"] * 1000) / 1000 == after
    else:
        assert np.floor(means["Mean_2"] * 1000) / 1000 == after
        assert means == pytest.approx(summary[list(means)].to_dict(), abs=1e-6)
    prompts = rows.dropna(subset="Folder")
    if number == 1:
        assert len(prompts) == 15 and all(len(name) <= 100 for name in prompts["Folder"])


def test_the_published_paired_change_is_recomputed():
    folder = SHARED / "data/seed/metrics_after_unlearning"
    if not folder.exists():
        pytest.skip("the study's tables (shared/data/seed) are not beside the checkout")
    rows = pd.concat(pd.read_csv(path) for path in sorted(folder.glob("*.csv")))
    rows = rows.dropna(subset="Folder")
    change = rows["Mean_2"] - rows["Mean_1"]
    assert (len(change), int((change < 0).sum())) == (144, 102)
    assert change.mean() == pytest.approx(-0.036, abs=5e-4)
    assert change.std() == pytest.approx(0.067, abs=1e-3)
