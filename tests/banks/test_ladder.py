"""The ladder: what it forgets and measures, that it resumes and grows, what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from untrain.banks.ladder import job, ladder
from untrain.banks.ladder.asked import BUDGETS, Asked, asked_of, numbers
from untrain.banks.ladder.items import Features, items_of, read_items
from untrain.banks.ladder.ladder import climb_ladder, plan_ladder, read_ladder
from untrain.banks.ladder.results import keep_fidelity, own_queries
from untrain.banks.ladder.rungs import rung_path
from untrain.banks.ladder.sets import read_sets, sets_of_run
from untrain.core.errors import InputError
from untrain.core.files import read_json, write_json, write_text
from untrain.core.vocabulary import Group
from untrain.generators.base import Generator
from untrain.runs.run import Run, open_run
from untrain.settings.config import Config
from untrain.unlearning.base import Task
from untrain.unlearning.registry import METHODS

Make = Callable[..., Config]
Copy = Callable[..., Path]


@dataclass(frozen=True)
class _Faulty:
    """A method with a bug."""

    def __call__(self, task: Task) -> Generator:
        raise RuntimeError("a bug")


SMALL = Asked(methods=("nothing", "ascent"), budgets=(0.02, 0.05), seeds=1, targeted=1)


@pytest.fixture(scope="module")
def climbed(micro_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a small ladder."""
    without = shutil.ignore_patterns("thumbnails")
    folder = tmp_path_factory.mktemp("ladder") / "runs" / "micro"
    shutil.copytree(micro_run, folder, ignore=without)
    climb_ladder(open_run(folder), SMALL)
    return folder


@pytest.fixture
def climbed_copy(climbed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(climbed, tmp_path / "runs" / "micro"))


def test_every_method_is_measured_beside_the_model_and_its_twin(climbed: Path) -> None:
    found = read_ladder(climbed)
    assert list(found.sets.drop_duplicates("set_id")["kind"]) == ["targeted", "random", "family"]
    outcomes = found.outcomes
    references = {("full", 0.0), ("twin", 1.0), ("other set", 1.0)}
    methods = {(name, budget) for name in ("nothing", "ascent") for budget in (0.02, 0.05)}
    assert set(zip(outcomes["method"], outcomes["budget"], strict=True)) == references | methods
    for set_id, of_set in outcomes.groupby("set_id"):
        images = set(found.sets[found.sets["set_id"] == set_id]["image_id"])
        items = [
            set(rows["item"] + rows["group"]) for _, rows in of_set.groupby(["method", "budget"])
        ]
        assert all(each == items[0] for each in items)
        forget = of_set[of_set["group"] == Group.FORGET]
        assert set(forget["item"]) == images
        assert not images & set(of_set[of_set["group"] == Group.RETAINED]["item"])
    assert outcomes["value"].notna().all()


def test_a_twin_is_the_model_trained_without_the_set_and_nothing_else(climbed: Path) -> None:
    twins = pd.read_parquet(climbed / "ladder" / "twins.parquet")
    sets = pd.read_parquet(climbed / "ladder" / "sets.parquet")
    assert twins["set_id"].isna().sum() == 1
    for row in twins.itertuples():
        removed = read_json(climbed / str(row.path) / "removed.json")
        assert removed["seed"] == open_run(climbed).config.b_seed
        assert removed["removed"] == sorted(sets[sets["set_id"] == row.set_id]["image_id"])


def test_doing_nothing_gives_the_values_of_the_model(climbed: Path) -> None:
    outcomes = read_ladder(climbed).outcomes.set_index(["set_id", "group", "item"])
    of = {name: outcomes[outcomes["method"] == name]["value"] for name in ("full", "nothing")}
    for budget in SMALL.budgets:
        same = outcomes[(outcomes["method"] == "nothing") & (outcomes["budget"] == budget)]["value"]
        pd.testing.assert_series_equal(same, of["full"], check_exact=True)


def test_fidelity_is_kept_with_the_results(climbed_copy: Path) -> None:
    table = keep_fidelity(open_run(climbed_copy), read_ladder(climbed_copy))
    assert set(table["method"]) == {"nothing", "ascent", "other set"}
    assert (table[table["method"] == "nothing"]["rho"] == 0).all()
    for suffix in ("parquet", "csv", "json"):
        assert (climbed_copy / "results" / f"fidelity.{suffix}").is_file()


def test_a_ladder_of_the_control_by_itself_has_results_too(climbed_copy: Path) -> None:
    found = read_ladder(climbed_copy)
    only = found.outcomes[found.outcomes["method"].isin(["full", "twin", "nothing"])]
    table = keep_fidelity(open_run(climbed_copy), replace(found, outcomes=only))
    assert set(table["method"]) == {"nothing"}
    assert (climbed_copy / "results" / "figures" / "unlearning.svg").is_file()


def test_what_is_there_is_not_made_again_and_less_takes_nothing_away(
    climbed_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, float]] = []
    climb = job.climb

    def noted(place: job.Place, rung: job.Rung) -> None:
        made.append((rung.method, rung.budget))
        climb(place, rung)

    monkeypatch.setattr(ladder, "climb", noted)
    before = read_ladder(climbed_copy).outcomes
    assert plan_ladder(open_run(climbed_copy), SMALL).due == 0
    again = climb_ladder(open_run(climbed_copy), SMALL).outcomes
    assert made == []
    pd.testing.assert_frame_equal(again, before)
    more = Asked(methods=("fine_tuning",), budgets=(0.045,), seeds=1, targeted=1)
    grown = climb_ladder(open_run(climbed_copy), more).outcomes
    assert made == [("fine_tuning", 0.045)] * 3
    assert set(grown["method"]) == {*before["method"], "fine_tuning"}
    assert len(grown) == len(before) + (before["method"] == "full").sum()


def test_a_kill_costs_the_rung_in_the_making(
    climbed_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_ladder(climbed_copy).outcomes
    told = read_json(climbed_copy / "ladder" / "ladder.json")
    for key in list(told["rungs"])[3:]:
        rung_path(climbed_copy, key).unlink()
    (climbed_copy / "ladder" / "outcomes.parquet").unlink()
    made = 0
    climb = job.climb

    def stopped(place: job.Place, rung: job.Rung) -> None:
        nonlocal made
        if made == 2:
            raise KeyboardInterrupt
        made += 1
        climb(place, rung)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ladder, "climb", stopped)
        climb_ladder(open_run(climbed_copy), SMALL)
    assert len(list((climbed_copy / "ladder" / "rungs").glob("*.parquet"))) == 5
    again = climb_ladder(open_run(climbed_copy), SMALL).outcomes
    timed = ["seconds"]  # not what is found
    pd.testing.assert_frame_equal(again.drop(columns=timed), whole.drop(columns=timed))


def test_other_pictures_are_measured_again(climbed_copy: Path) -> None:
    write_text(climbed_copy / "prompts.csv", (climbed_copy / "prompts.csv").read_text() + "\n")
    with pytest.raises(InputError, match="have changed since"):
        read_ladder(climbed_copy)
    assert plan_ladder(open_run(climbed_copy), SMALL).due == 12


def test_dear_budgets_are_tried_on_the_first_model_and_one_set_of_a_kind(micro_copy: Copy) -> None:
    folder = micro_copy()
    asked = Asked(methods=("nothing",), budgets=(0.05, 0.5), seeds=3)
    plan = plan_ladder(open_run(folder), asked)
    assert (plan.models, plan.sets, plan.twins, plan.missing) == (3, 4, 15, 15)
    assert plan.rungs == plan.due == 3 * 4 + 2  # targeted and family, none at random
    assert plan.trainings == pytest.approx(12 * 0.05 + 2 * 0.5)
    assert plan.seconds is not None and plan.seconds > 0
    assert not (folder / "ladder").exists()
    anew = replace(asked, methods=("sisa",), budgets=(0.05,))
    assert plan_ladder(open_run(folder), anew).rungs == 2
    assert plan_ladder(open_run(folder), replace(anew, dear=1.0)).rungs == 12
    assert dict(plan.lines())["forget sets"] == "4: 2 targeted, 1 random, 1 family"


def test_what_a_method_cannot_do_is_named_and_tried_again(climbed_copy: Path) -> None:
    asked = Asked(methods=("fine_tuning",), budgets=(0.001,), seeds=1, targeted=1)
    found = climb_ladder(open_run(climbed_copy), asked)
    assert [(each["method"], each["budgets"]) for each in found.skipped] == [
        ("fine_tuning", [0.001])
    ]
    assert "fine_tuning" not in set(found.outcomes["method"])
    assert read_ladder(climbed_copy).skipped == found.skipped
    assert plan_ladder(open_run(climbed_copy), asked).due == 3


def test_neighbours_of_a_set_are_measured_and_never_of_it(climbed: Path) -> None:
    run = open_run(climbed)
    features = Features(run.catalog, run.encoder)
    chosen = sets_of_run(run, targeted=0, random=0, family=1)[0]
    near = features.nearest(chosen.ids, 5)
    assert len(set(near)) == 5 and not set(near) & set(chosen.ids)
    # The other images of a rendered family are as near as can be.
    family = run.catalog.attributes["family"]
    own = family[run.catalog.index[chosen.ids[0]]]
    rest = [i for i, f in zip(run.catalog.ids, family, strict=True) if f == own][1:]
    assert set(features.nearest(chosen.ids[:1], len(rest))) == set(rest)


def test_items_are_read_as_they_were_written(climbed: Path, tmp_path: Path) -> None:
    run = open_run(climbed)
    run.trainer.prepare()
    chosen = sets_of_run(run, targeted=1, random=0, family=0)[0]
    items = items_of(run, chosen, Features(run.catalog, run.encoder))
    items.write(tmp_path / "items")
    again = read_items(tmp_path / "items")
    assert (again.groups, again.ids, again.captions) == (items.groups, items.ids, items.captions)
    np.testing.assert_array_equal(again.samples, items.samples)
    held_out = [i for i, g in zip(items.ids, items.groups, strict=True) if g == Group.HELD_OUT]
    assert set(held_out) <= set(run.held_out.ids)


def test_own_sets_are_read_from_lists_and_tables(climbed: Path, tmp_path: Path) -> None:
    catalog = open_run(climbed).catalog
    ids = list(catalog.ids[:4])
    (tmp_path / "mine.txt").write_text("\n".join([ids[2], ids[0], ids[2]]))
    (found,) = read_sets(tmp_path / "mine.txt", catalog)
    assert (found.set_id, found.kind, found.ids) == ("mine", "own", (ids[0], ids[2]))
    table = pd.DataFrame({"set_id": ["a", "b", "a"], "image_id": ids[:3]})
    table.to_csv(tmp_path / "mine.csv", index=False)
    table.to_parquet(tmp_path / "mine.parquet")
    for name in ("mine.csv", "mine.parquet"):
        found_all = read_sets(tmp_path / name, catalog)
        assert [(s.set_id, s.ids) for s in found_all] == [("a", (ids[0], ids[2])), ("b", (ids[1],))]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("nowhere\n", "cannot forget 'nowhere'"),
        ("ALL", "holds all"),
    ],
)
def test_sets_that_cannot_be_forgotten_are_refused(
    climbed: Path, tmp_path: Path, text: str, says: str
) -> None:
    catalog = open_run(climbed).catalog
    (tmp_path / "mine.txt").write_text("\n".join(catalog.ids) if text == "ALL" else text)
    with pytest.raises(InputError, match=says):
        climb_ladder(open_run(climbed), Asked(sets=(tmp_path / "mine.txt",)))


def test_tables_of_sets_with_faults_are_refused(climbed: Path, tmp_path: Path) -> None:
    catalog = open_run(climbed).catalog
    file = tmp_path / "sets.csv"
    with pytest.raises(InputError, match="cannot read the sets"):
        read_sets(file, catalog)
    file.write_text("image_id\nx\n")
    with pytest.raises(InputError, match="has no column set_id"):
        read_sets(file, catalog)
    file.write_text("set_id,image_id\n")
    with pytest.raises(InputError, match="names no images"):
        read_sets(file, catalog)
    file.write_text(f"set_id,image_id\na,{catalog.ids[0]}\n")
    other = shutil.copy(file, tmp_path / "again.csv")
    with pytest.raises(InputError, match="two sets are called 'a'"):
        climb_ladder(open_run(climbed), Asked(sets=(file, Path(other))))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"methods": ["npi"]}, "unknown unlearning method 'npi'"),
        ({"budgets": [0.0]}, "above 0 and at most 1, found 0"),
        ({"budgets": [0.1, 1.5]}, "found 1.5"),
        ({"seeds": 0}, "at least one model"),
        ({"targeted": -1}, "below 0"),
        ({"budget": 0.1}, "takes no 'budget' — did you mean 'budgets'"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        asked_of(asked)


def test_what_is_asked_by_keywords() -> None:
    asked = asked_of({"methods": "nothing", "sets": ["a.txt"], "seeds": 3})
    assert (asked.methods, asked.budgets, asked.sets) == (("nothing",), BUDGETS, (Path("a.txt"),))
    with pytest.raises(InputError, match="shares of a training"):
        numbers("a lot")


def test_no_sets_at_all_are_refused(climbed: Path) -> None:
    with pytest.raises(InputError, match="no forget set is left"):
        climb_ladder(open_run(climbed), Asked(targeted=0, random=0, family=0))


def test_a_run_without_a_model_is_refused(config: Make, micro_copy: Copy) -> None:
    with pytest.raises(InputError, match="no trained model with pictures yet"):
        climb_ladder(Run(config(name="none")), SMALL)
    folder = micro_copy()
    shutil.rmtree(folder / open_run(folder).table("model_a")["path"].iloc[0])
    with pytest.raises(InputError, match="no trained model with pictures yet"):
        climb_ladder(open_run(folder), SMALL)


def test_a_run_without_forget_sets_is_refused(micro_copy: Copy) -> None:
    folder = micro_copy()
    (folder / "forget_sets.parquet").unlink()
    with pytest.raises(InputError, match="no forget sets yet"):
        climb_ladder(open_run(folder), SMALL)


def test_other_data_are_refused(micro_copy: Copy) -> None:
    folder = micro_copy()
    record = read_json(folder / "run.json")
    record["fingerprints"]["catalog"] = "other"
    write_json(folder / "run.json", record)
    with pytest.raises(InputError, match="are not what they were"):
        climb_ladder(open_run(folder), SMALL)


def test_unpaired_models_have_no_twins(micro_copy: Copy) -> None:
    run = open_run(micro_copy())
    unpaired = run.config.design.model_copy(update={"paired": False})
    with pytest.raises(InputError, match="not paired"):
        climb_ladder(Run(run.config.model_copy(update={"design": unpaired})), SMALL)


def test_a_fault_in_one_method_does_not_keep_the_others_from_the_table(climbed_copy: Path) -> None:
    with METHODS.temporary(faulty=_Faulty):
        asked = Asked(methods=("faulty", "nothing"), budgets=(0.03,), seeds=1, targeted=1)
        found = climb_ladder(open_run(climbed_copy), asked)
    assert [(each["method"], each["because"]) for each in found.skipped] == [
        ("faulty", "a fault in it: RuntimeError('a bug')")
    ]
    assert ((found.outcomes["method"] == "nothing") & (found.outcomes["budget"] == 0.03)).any()


def test_queries_of_a_sets_own_prompt_are_told_apart(climbed: Path) -> None:
    found = read_ladder(climbed)
    own = own_queries(found)
    assert set(own["group"]) == {Group.QUERY}
    for set_id, rows in own.groupby("set_id"):
        prompt = found.sets.set_index("set_id").loc[[set_id], "prompt_id"].iloc[0]
        assert set(rows["item"]) == {f"{prompt}#0", f"{prompt}#1"}
