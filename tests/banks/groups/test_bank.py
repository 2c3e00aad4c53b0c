"""The bank of groups: what its models lack, that it grows and resumes, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from untrain.banks.groups.bank import folder_of, read_group_bank, train_group_bank
from untrain.banks.groups.plan import plan_group_bank
from untrain.catalogs.groups import groups_of
from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.training.models import Trainer

Make = Callable[..., Config]
Copy = Callable[..., Path]


@pytest.mark.slow
def test_whole_groups_leave_and_the_bank_grows_and_resumes(
    config: Make, micro_copy: Copy, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = micro_copy()
    run = Run(config())
    plan = plan_group_bank(run, "gender", 2, [0.3, 0.5, 0.7], 0)
    assert (plan.groups, plan.draws, plan.models, plan.missing) == (3, 6, 8, 8)
    loaded: list[str] = []
    load_model = Trainer.load

    def load(self: Trainer, path: str) -> object:
        if len(loaded) == 4:
            raise KeyboardInterrupt
        loaded.append(path)
        return load_model(self, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "load", load)
        train_group_bank(run, "gender", 2, [0.3, 0.5, 0.7])
    assert len(trained) == 8
    part = read_group_bank(run, groups_of(run.catalog, "gender"))
    assert len(part.models) == 4
    found = train_group_bank(run, "gender", 2, [0.3, 0.5, 0.7])
    assert len(trained) == 8  # nothing is trained again
    assert list(found.models["model_id"][:2]) == ["full", "empty"]
    genders = run.catalog.attributes["gender"].to_numpy(str)
    ids = np.array(run.catalog.ids)
    for row, path in zip(found.kept, found.models["path"], strict=True):
        left = [name for name, own in zip(found.groups.names, row, strict=True) if not own]
        removed = read_json(folder / path / "removed.json")["removed"]
        assert removed == sorted(ids[np.isin(genders, left)])
    assert set(found.outcomes["measure"]) == {"nll", "heldout_nll"}
    assert found.outcomes.groupby("model_id").size().nunique() == 1
    more = train_group_bank(run, "gender", 2, [0.3, 0.5, 0.7], leave_one_out=3)
    assert len(trained) == 8  # all sets without one group were there by other names
    assert list(more.models["kind"][-3:]) == ["leave-one-out"] * 3
    before = found.outcomes
    pd.testing.assert_frame_equal(more.outcomes[: len(before)], before)
    assert not (folder / "bank").exists()
    assert set(pd.read_parquet(folder / "groups" / "gender" / "groups.parquet")["group"]) == set(
        found.groups.names
    )


def test_a_model_on_nothing_knows_nothing(config: Make, micro_copy: Copy) -> None:
    micro_copy()
    found = train_group_bank(Run(config("generations=1")), "gender", 2, [0.3, 0.5, 0.7])
    mean = found.outcomes[found.outcomes["measure"] == "nll"].groupby("model_id")["value"].mean()
    assert mean["empty"] == pytest.approx(np.log2(1000), abs=0.2)
    assert mean["full"] < mean["empty"] - 0.2


@pytest.mark.parametrize(
    ("by", "models", "options", "says"),
    [
        ("brnd", 8, {}, "did you mean"),
        ("brand", 2, {}, r"10 models are too few for 8 groups.*3 × 8 = 24.*--models 5"),
        ("brand", 0, {}, "at least 1"),
        ("brand", 8, {"leave_one_out": 9}, "choose 0 to 8"),
        ("brand", 8, {"least": 1000}, "the same brand"),
        ("brand", 8, {"shares": [1.5]}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    config: Make, tmp_path: Path, by: str, models: int, options: dict, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        train_group_bank(Run(config()), by, models, **options)
    assert not (tmp_path / "runs").exists()


def test_no_bank_is_an_error_that_says_how_to_make_one(micro_run: Path, config: Make) -> None:
    run = Run(config().model_copy(update={"runs": micro_run.parent}))
    with pytest.raises(InputError, match="untrain bank FILE --by brand"):
        read_group_bank(run, groups_of(run.catalog, "brand"))
    assert folder_of(micro_run, groups_of(run.catalog, "brand")).name == "brand"
