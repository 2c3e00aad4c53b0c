"""What is chosen before anything is trained: prompts, and a trial that fits into the time."""

from __future__ import annotations

import pytest

from untrain.quickstart.budget import NEEDS, Size, Timed, fit_into
from untrain.quickstart.prompts import draw_prompts
from untrain.quickstart.trial import changes

IDLE = {"tiny": Timed(1 / 775, 1 / 780), "micro": Timed(1e-4, 1e-4)}  # the demo's two cores
MODELS = (10, 8, 6)


def fitted(seconds: float, images: int = 300, slower: float = 1.0) -> Size | None:
    timed = {k: Timed(t.pair * slower, t.picture * slower) for k, t in IDLE.items()}
    return fit_into(seconds, images, timed, 2, MODELS, 24)


def test_five_idle_minutes_train_the_demos_model_fully() -> None:
    size = fitted(290)
    assert size is not None and size.preset == "tiny" and size.models == 10
    assert size.epochs * (size.images + 24) == pytest.approx(NEEDS["tiny"].most, rel=0.02)
    assert size.images == 300 and size.seconds <= 290


def test_less_time_means_less_never_more_than_there_is() -> None:
    before = 10**9
    for seconds in (290, 200, 130, 90, 60):
        size = fitted(seconds)
        assert size is not None and size.seconds <= seconds * 1.05
        trained = size.models * size.epochs * size.images * (1 if size.preset == "micro" else 100)
        assert trained <= before
        before = trained
    assert fitted(20) is None


def test_a_busy_machine_gets_a_smaller_trial() -> None:
    size = fitted(290, slower=4)
    assert size is not None and size.preset == "micro"


def test_many_pictures_are_a_part_and_each_is_seen_often_enough() -> None:
    size = fitted(290, images=44_000)
    assert size is not None and size.images < 3000 and size.epochs >= 6


def test_a_size_survives_json() -> None:
    size = fitted(200)
    assert size is not None and Size.from_dict(size.to_dict()) == size


def test_prompts_are_captions_that_differ() -> None:
    captions = [f"red shirt number {n}" for n in range(50)] + ["Blue  bag", "blue bag", "a hat"]
    drawn = draw_prompts(captions, 3)
    assert drawn == draw_prompts([*reversed(captions)], 3)
    assert {"a hat"} < set(drawn) and len(drawn) == 3
    assert len(draw_prompts(captions, 100)) == 52  # "Blue  bag" and "blue bag" are one
    assert draw_prompts(["  ", ""], 3) == []


def test_neighbours_of_prompts_leave_room_for_random_pictures() -> None:
    for images in (12, 40, 392, 5000):
        size = Size("micro", 6, 6, images, 6, 60.0, Timed(1e-4, 1e-4))
        for prompts in (2, 6, 12):
            near = changes(size, 10_000, prompts)["data.subset.neighbours"]
            assert 1 <= near <= 50
            assert prompts * near <= max(prompts, images / 2)
