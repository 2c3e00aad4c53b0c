"""The bank of random subsets: what is drawn, that it grows, resumes and is paired."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.helpers.engines import noting_engine
from tests.helpers.folders import record
from untrain.banks.bank import keep_equivalent, read_bank, train_bank
from untrain.banks.plan import plan_bank
from untrain.banks.subsets import RandomSubset, copy_groups, different_subsets, kept_without
from untrain.core import schema
from untrain.core.errors import InputError
from untrain.core.files import read_json
from untrain.runs.queries import read_queries
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.training.base import Group, ModelRequest
from untrain.training.engines import ENGINES
from untrain.training.models import Trainer

Make = Callable[..., Config]
Copy = Callable[..., Path]

SINGLES = np.arange(40)


def test_a_subset_is_a_uniform_subset_of_its_size() -> None:
    drawn = np.array([~kept_without(RandomSubset(0.25, i), SINGLES, 0) for i in range(2000)])
    assert set(drawn.sum(axis=1)) == {10}
    often = drawn.mean(axis=0)  # binomial with sd 0.0097
    assert np.abs(often - 0.25).max() < 4 * 0.0097
    together = (drawn[:, :1] & drawn[:, 1:]).mean(axis=0)  # pairs: (10/40) · (9/39)
    assert abs(together.mean() - 10 / 40 * 9 / 39) < 0.003
    assert len(np.unique(drawn, axis=0)) == 2000


def test_a_subset_depends_on_its_own_key_alone() -> None:
    half = kept_without(RandomSubset(0.5, 3), SINGLES, 0)
    assert (half == kept_without(RandomSubset(0.5, 3), SINGLES, 0)).all()
    for other in (RandomSubset(0.5, 4), RandomSubset(0.25, 3)):
        assert (half != kept_without(other, SINGLES, 0)).any()
    assert (half != kept_without(RandomSubset(0.5, 3), SINGLES, 1)).any()


def test_byte_identical_images_leave_together_and_as_often_as_others() -> None:
    groups = np.repeat(np.arange(20), [1] * 15 + [5] * 5)
    drawn = np.array([kept_without(RandomSubset(0.5, i), groups, 0) for i in range(1000)])
    for group in range(20):
        members = drawn[:, groups == group]
        assert (members == members[:, :1]).all()
        assert abs(members[:, 0].mean() - 0.5) < 0.08
    assert abs(drawn.sum(axis=1) - 20).max() <= 2  # the nearest size there is


def test_something_leaves_and_something_stays_however_large_the_groups() -> None:
    groups = np.array([0] * 9 + [1])
    for share in (0.05, 0.5, 0.95):
        for index in range(10):
            assert 0 < kept_without(RandomSubset(share, index), groups, 0).sum() < 10


def test_no_subset_comes_twice_however_few_there_are() -> None:
    groups = np.arange(6)
    found = different_subsets(1 / 6, 6, groups, 0)
    out = [int(np.flatnonzero(~kept_without(part, groups, 0))[0]) for part in found]
    assert sorted(out) == list(range(6))
    assert max(part.draw for part in found) > 5  # draws that repeat one were passed over
    assert different_subsets(1 / 6, 4, groups, 0) == found[:4]  # so a bank can grow
    with pytest.raises(InputError, match="only 6 different subsets"):
        different_subsets(1 / 6, 7, groups, 0)
    assert [part.draw for part in different_subsets(0.5, 64, SINGLES, 0)] == list(range(64))


def test_names_say_share_and_draw() -> None:
    assert [RandomSubset(s, i).model_id for s, i in ((0.5, 0), (0.05, 12), (0.0, 0))] == [
        "subset-0.5-000",
        "subset-0.05-012",
        "full",
    ]


def test_a_bank_holds_what_it_promises(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    run = Run(config())
    found = train_bank(run, 3)
    assert list(found.models["model_id"]) == ["subset-0.5-000", "subset-0.5-001", "subset-0.5-002"]
    assert set(found.models["seed"]) == {run.config.b_seed}
    ids = pd.read_parquet(folder / "catalog.parquet")["image_id"]
    for row, path in enumerate(found.models["path"]):
        removed = read_json(folder / path / "removed.json")["removed"]
        assert removed == sorted(ids[~found.kept[row]])
        assert abs(len(removed) - len(ids) / 2) <= 1
    assert (folder / "bank" / "kept.safetensors").exists()
    queries = {f"{p}/{g}" for p, g in read_queries(folder).keys}
    for _, rows in found.outcomes.groupby("model_id"):
        assert set(rows["prompt_id"] + "/" + rows["generation"].astype(str)) == queries
    assert set(found.outcomes["measure"]) == {"nll"}
    assert found.outcomes["value"].between(0, 20).all()
    assert list(found.outcomes) == ["model_id", "prompt_id", "generation", "measure", "value"]


def test_a_bank_runs_the_stages_that_it_needs(config: Make, micro_copy: Copy) -> None:
    folder = micro_copy()
    shutil.rmtree(folder / "queries")
    train_bank(Run(config()), 2)
    assert (folder / "queries").exists()
    assert record(folder)["stages"]["generate"]["state"] == "done"


def test_a_bank_grows_without_training_again(
    config: Make, micro_copy: Copy, trained: list[str]
) -> None:
    micro_copy()
    small = train_bank(Run(config()), 2)
    assert len(trained) == 2
    train_bank(Run(config()), 2)
    assert len(trained) == 2
    large = train_bank(Run(config()), 4)
    assert len(trained) == 4
    pd.testing.assert_frame_equal(large.models[:2], small.models)
    assert (large.kept[:2] == small.kept).all()
    pd.testing.assert_frame_equal(large.outcomes[: len(small.outcomes)], small.outcomes)
    again = train_bank(Run(config()), 2)  # asking for fewer takes nothing away
    assert len(again.models) == 4
    several = train_bank(Run(config()), 2, [0.5, 0.1])
    assert list(several.models["model_id"][4:]) == ["subset-0.1-000", "subset-0.1-001", "full"]
    assert len(trained) == 7


def test_a_kill_while_training_costs_the_model_in_training(
    config: Make, micro_copy: Copy, trained: list[str]
) -> None:
    folder = micro_copy()

    def stop(group: Group) -> None:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.extend(model.model_id for model in group)

    with (
        ENGINES.temporary(local=noting_engine(stop)),
        pytest.raises(KeyboardInterrupt),
    ):
        train_bank(Run(config()), 4)
    with pytest.raises(InputError, match="untrain bank FILE"):
        read_bank(folder)
    assert len(train_bank(Run(config()), 4).models) == 4
    assert len(trained) == len(set(trained)) == 4


def test_a_kill_while_measuring_costs_one_measurement(
    config: Make, micro_copy: Copy, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = micro_copy()
    loaded: list[str] = []
    load_model = Trainer.load

    def load(self: Trainer, path: str) -> object:
        if len(loaded) == 2:
            raise KeyboardInterrupt
        loaded.append(path)
        return load_model(self, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "load", load)
        train_bank(Run(config()), 4)
    part = read_bank(folder)
    assert list(part.models["model_id"]) == ["subset-0.5-000", "subset-0.5-001"]
    assert part.kept.shape[0] == 2
    whole = train_bank(Run(config()), 4)
    assert len(trained) == 4
    pd.testing.assert_frame_equal(whole.outcomes[: len(part.outcomes)], part.outcomes)
    assert whole.outcomes["model_id"].nunique() == 4


def test_models_are_paired_nothing_taken_out_is_full_to_the_bit(
    config: Make, micro_run: Path, micro_copy: Copy, tmp_path: Path
) -> None:
    folder = micro_copy()
    found = train_bank(Run(config()), 2, [0.5, 0.1])
    full = found.models.set_index("model_id")["path"]["full"]
    elsewhere = tmp_path / "other" / "micro"  # where no run beside it has the model
    shutil.copytree(micro_run, elsewhere)
    other = Run(config().model_copy(update={"runs": elsewhere.parent}))
    other.trainer.prepare()
    removed = ~kept_without(RandomSubset(0.0), copy_groups(other.catalog), 0)
    assert not removed.any()
    request = ModelRequest("again", other.config.b_seed, ())
    again = other.trainer.train([request], "again")["path"].iloc[0]
    left, right = (load_file(f / "model.safetensors") for f in (folder / full, elsewhere / again))
    assert left.keys() == right.keys()
    assert all((left[name] == right[name]).all() for name in left)


def test_other_pictures_are_measured_again_by_the_same_models(
    config: Make, micro_copy: Copy, trained: list[str]
) -> None:
    folder = micro_copy()
    train_bank(Run(config()), 2)
    found = train_bank(Run(config("generations=1")), 2)
    assert len(trained) == 2
    assert set(found.outcomes["generation"]) == {0}
    (folder / "queries.safetensors").write_bytes(b"others")
    with pytest.raises(InputError, match="have changed since"):
        read_bank(folder)


def test_other_settings_make_another_bank(
    config: Make, micro_copy: Copy, trained: list[str]
) -> None:
    micro_copy()
    first = train_bank(Run(config()), 3)
    other = train_bank(Run(config("seed_b=77")), 2)
    assert set(other.models["seed"]) == {77}
    assert len(trained) == 5
    back = train_bank(Run(config()), 3)
    assert len(trained) == 5
    pd.testing.assert_frame_equal(back.outcomes, first.outcomes)


@pytest.mark.parametrize(
    ("models", "shares", "says"),
    [
        (1, [0.5], "at least 2 models"),
        (2, [0.0], "between 0 and 1"),
        (2, [1.0], "between 0 and 1"),
        (2, [-0.5], "between 0 and 1"),
        (2, [float("nan")], "between 0 and 1"),
        (2, [0.001], "removes 0 of the"),
        (2, [0.999], "removes 1"),
        (500, [0.01], "different subsets"),
        (2, [], "found none"),
    ],
)
def test_a_bank_that_cannot_be_is_refused_before_anything_is_done(
    config: Make, tmp_path: Path, models: int, shares: list[float], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        train_bank(Run(config()), models, shares)
    assert not (tmp_path / "runs").exists()


def test_no_bank_is_an_error_that_says_how_to_make_one(micro_run: Path) -> None:
    with pytest.raises(InputError, match="untrain bank FILE"):
        read_bank(micro_run)


def test_the_plan_counts_what_is_missing_and_trains_nothing(
    config: Make, micro_copy: Copy, trained: list[str]
) -> None:
    before = dict(plan_bank(Run(config()), 4, [0.5, 0.1]).lines())
    assert (
        before["models"] == "9: 4 without 0.5 of the data, 4 without 0.1 of the data, 1 on all data"
    )
    assert before["to be trained"].startswith("9, 1 at a time")
    assert "MB per model" in before["disk"]
    assert not trained
    micro_copy()
    train_bank(Run(config()), 3)
    after = plan_bank(Run(config()), 4, [0.5])
    assert (after.models, after.missing, after.workers) == ({0.5: 4}, 1, 1)
    assert after.seconds == after.seconds_per_model > 0
    assert after.megabytes == after.megabytes_per_model > 0


@pytest.mark.slow
def test_equivalent_removal_is_kept_where_there_are_several_shares(
    config: Make, micro_copy: Copy
) -> None:
    folder = micro_copy()
    run = Run(config())
    assert keep_equivalent(run, train_bank(run, 2)) == []
    rows = keep_equivalent(run, train_bank(run, 2, [0.5, 0.1]))
    assert {row["arm"] for row in rows} == {"targeted", "family"}
    assert read_json(folder / "results" / "equivalent.json") == rows
    assert [point["share"] for point in rows[0]["curve"]] == [0.1, 0.5]
    assert {row["arm"]: row["removed"] for row in rows} == {"targeted": 3, "family": 6}
    assert "<svg" in (folder / "results" / "figures" / "equivalent.svg").read_text()


def test_parts_of_a_bank_in_one_folder_are_read_with_their_rows(
    config: Make, micro_copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between ``kept`` and the table leaves rows that count as not there."""
    folder = micro_copy()
    small = train_bank(Run(config()), 2)
    write = schema.write_parquet

    def stop(path: Path, table: pd.DataFrame) -> None:
        if path.name == "models.parquet":
            raise KeyboardInterrupt
        write(path, table)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(schema, "write_parquet", stop)
        train_bank(Run(config()), 3)
    assert (read_bank(folder).kept == small.kept).all()
    assert len(train_bank(Run(config()), 3).models) == 3
