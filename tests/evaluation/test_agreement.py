"""How two sets of numbers agree, against SciPy and by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from scipy.stats import pearsonr

from untrain.evaluation.agreement import agreement


def test_numbers_by_hand() -> None:
    x, y = pd.Series([1.0, 2.0, 3.0, None]), pd.Series([1.0, 3.0, 2.0, 9.0])
    found = agreement(x, y)
    assert found["n"] == 3
    assert found["pearson"] == pytest.approx(pearsonr([1, 2, 3], [1, 3, 2]).statistic)
    assert found["spearman"] == pytest.approx(0.5)
    assert found["slope"] == pytest.approx(13 / 14)
    assert found["rmse"] == pytest.approx((2 / 3) ** 0.5)


def test_too_few_or_all_alike_say_nothing() -> None:
    two = agreement(pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0]))
    assert (two["pearson"], two["slope"], two["rmse"]) == (None, 1.0, 0.0)
    assert agreement(pd.Series([1.0] * 4), pd.Series([1.0, 2, 3, 4]))["spearman"] is None
    none = agreement(pd.Series([None], dtype=float), pd.Series([1.0]))
    assert none == {"n": 0, "pearson": None, "spearman": None, "slope": None, "rmse": None}
