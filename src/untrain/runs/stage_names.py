"""Names of the stages and what each does, apart from their code: ``--help`` imports nothing heavy.

`untrain.experiment.pipeline` has the stages themselves, in the same order.
"""

from collections.abc import Mapping

STAGE_HELP: Mapping[str, str] = {
    "fit": "train model A, which generates the pictures",
    "generate": "draw the pictures",
    "judge": "judge whether the pictures show what was asked for",
    "retrieve": "find candidates by their captions",
    "compare": "compare every picture with every candidate",
    "rank": "rank training images",
    "remove": "choose the forget sets; nothing is deleted",
    "retrain": "train the models to compare, without them",
    "regenerate": "generate the pictures again from the same noise",
    "evaluate": "measure effects, test them, give verdicts",
    "report": "write the report",
}
"""The stages of an experiment, in order."""

HELP_OF_GIVEN_PICTURES: Mapping[str, str] = {
    "generate": "take the pictures that were given",
    **{name: STAGE_HELP[name] for name in ("judge", "retrieve", "compare", "rank", "report")},
}
"""The stages of a run whose pictures are given: without a model there is no counterfactual."""
