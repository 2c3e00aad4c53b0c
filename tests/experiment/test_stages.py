"""The lists of stages, and the names that the command line knows them by."""

from __future__ import annotations

import pytest

from untrain.experiment.pipeline import STAGES, STAGES_OF_GIVEN_PICTURES
from untrain.experiment.stages.base import Stage
from untrain.runs.stage_names import HELP_OF_GIVEN_PICTURES, STAGE_HELP


@pytest.mark.parametrize(
    ("stages", "told"),
    [(STAGES, STAGE_HELP), (STAGES_OF_GIVEN_PICTURES, HELP_OF_GIVEN_PICTURES)],
    ids=["trained", "given"],
)
def test_the_stages_are_those_that_help_names(
    stages: tuple[Stage, ...], told: dict[str, str]
) -> None:
    assert [(stage.name, stage.help) for stage in stages] == list(told.items())


@pytest.mark.parametrize("stages", [STAGES, STAGES_OF_GIVEN_PICTURES], ids=["trained", "given"])
def test_a_stage_reads_only_those_before_it(stages: tuple[Stage, ...]) -> None:
    names = [stage.name for stage in stages]
    for number, stage in enumerate(stages):
        assert set(stage.after) <= set(names[:number])
        assert stage.outputs
