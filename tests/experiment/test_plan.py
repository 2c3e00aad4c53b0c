"""What a plan says about power, and whose noise it takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from untrain.core.errors import InputError
from untrain.core.files import write_json
from untrain.evaluation import power
from untrain.experiment.plan import plan
from untrain.experiment.plan_power import expected_power
from untrain.experiment.planned import power_lines
from untrain.experiment.stages.retrain import draw_assignment
from untrain.runs.run import open_run
from untrain.runs.trial import is_finished_trial, read_trial
from untrain.settings.config import Config

Make = Callable[..., Config]
Copy = Callable[..., Path]


def lines_of(config: Config, queries: int, **others: Any) -> dict[str, str]:
    found = expected_power(config, queries, **others)
    assert found is not None
    return dict(power_lines(found))


def test_power_is_for_the_noise_of_the_demo_unless_there_is_better(config: Make) -> None:
    lines = lines_of(config("design.models=8"), 16)
    assert f"noise between models {power.DEMO_NOISE:.2f}, as in the demo" in lines["power"]
    alone = power.simulate(8).detectable(power.DEMO_NOISE)
    assert f"an effect of {alone:.2f} bits/token in one query" in lines["power"]
    assert "on average over 16 prompts, is found with 80%" in lines["power"]
    assert "as large as the margin takes" in lines["verdicts"]
    assert lines["Holm"].endswith("over 16 prompts; 12 can")


def test_noise_can_be_given(config: Make) -> None:
    lines = lines_of(config("design.models=12"), 16, noise=1.0)
    assert f"an effect of {power.simulate(12).detectable():.2f} bits/token" in lines["power"]
    assert "noise between models 1.00, as given" in lines["power"]
    assert "Holm" not in lines
    with pytest.raises(InputError, match="--noise is 0"):
        expected_power(config(), 16, noise=0)


def test_all_prompts_together_are_one_unit_with_less_noise(config: Make) -> None:
    lines = lines_of(config("design.models=8", "removal.together=true"), 16, noise=0.4)
    one = power.simulate(8)
    assert f"an effect of {one.detectable(0.4):.2f} bits/token in one query" in lines["power"]
    # The demo's noise, as far as is known, is not shared: the mean of 16 has a quarter of it.
    assert f"or an effect of {one.detectable(0.1):.2f} bits/token on average" in lines["power"]
    need = [power.needed_models(0.1, sd) for sd in (0.4, 0.1)]
    assert f"takes {need[0]} models for one query, {need[1]} for the average" in lines["verdicts"]


def test_few_models_are_told_what_they_cannot_do(config: Make) -> None:
    assert "no effect at all (with 4 models" in lines_of(config(), 4)["power"]
    before_after = config("design.kind=before-after", "removal.arms=[targeted, random_uniform]")
    assert expected_power(before_after, 4) is None


def test_a_finished_run_of_the_same_data_and_model_lends_its_noise(
    config: Make, micro_copy: Copy
) -> None:
    folder = micro_copy()
    trial = read_trial(folder)
    sd = power.trial_noise(trial.measures, trial.sets, trial.assignment).total ** 0.5
    text = lines_of(config(name="next"), 4)["power"]
    assert f"noise between models {sd:.2f}, as in the finished run in the same folder" in text
    other = config("generator.settings.epochs=7", name="next")
    assert "as in the demo" in lines_of(other, 4)["power"]


def test_a_trial_is_read_as_it_was_drawn(micro_copy: Copy, tmp_path: Path) -> None:
    folder = micro_copy()
    opened = open_run(folder)
    design, sets, seed = opened.config.design, opened.table("forget_sets"), opened.config.seed
    drawn, read = draw_assignment(design, sets, seed, True), read_trial(folder).assignment
    assert (read.forget_set_ids, read.model_ids) == (drawn.forget_set_ids, drawn.model_ids)
    assert (read.out == drawn.out).all() and read.is_random
    assert read.seed_offsets == drawn.seed_offsets
    # Its settings may have changed since, and the run not gone on to train the models again.
    record = json.loads((folder / "run.json").read_text())
    write_json(folder / "run.json", {**record, "design": "before-after"})
    assert read_trial(folder).assignment.is_random
    models = opened.table("models")
    opened.keep("models", models.replace({"model_id": {"B00": "full", "B01": "targeted"}}))
    assert not is_finished_trial(folder)
    assert not is_finished_trial(tmp_path)
    with pytest.raises(InputError, match="no finished randomised trial"):
        read_trial(tmp_path)


def test_a_plan_in_numbers_is_what_its_lines_say(config: Make) -> None:
    found = plan(config(), noise=0.5)
    assert (found.models, found.forget_sets, found.removed_images) == (5, 14, 48)
    assert found.seconds is not None and found.seconds > 0 and found.bytes_on_disk > 5_000_000
    assert found.power is not None and found.power.noise.sd == 0.5
    lines = dict(found.lines())
    assert lines["trainings"].startswith("1 + 4, 1 at a time, each ")
    assert found.memory is not None and found.memory.complete
    assert 2**29 < found.memory.bytes < 2**30  # a micro run holds 0.6 GiB
    assert "GiB, in the stage " in lines["memory"]
    more = plan(config("workers=3"), noise=0.5).memory
    assert more is not None and more.bytes > found.memory.bytes and more.stage == "retrain"
    assert lines["disk"] == f"about {found.bytes_on_disk / 1e6:.0f} MB in {found.folder}"
    assert all(f"{label} " in str(found) and value in str(found) for label, value in lines.items())
    told = json.loads(json.dumps(found.to_dict()))
    assert told["power"]["detectable"] is None  # four models find no effect in one query
    assert told["power"]["noise"]["source"] == "given"
