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

STAGE_WHY: Mapping[str, str] = {
    "fit": "its pictures are what is asked about; the models to compare come later, from another "
    "seed",
    "generate": "each prompt gets several, because one may be luck",
    "judge": "what removing images does to pictures that show nothing means nothing",
    "retrieve": "comparing every picture with every training image would take too long",
    "compare": "likeness has many sides: pixels, colours, features, words",
    "rank": "those first may be behind a picture; whether they matter is not known yet",
    "remove": "the images found for a prompt, and as many random ones to compare with",
    "retrain": "each without a random half of the sets: only that tells cause from chance",
    "regenerate": "the same noise shows what else changed",
    "evaluate": "models without a set against models with it, and how often chance does as much",
    "report": "pictures, numbers and warnings on one page",
}
"""Why each stage is needed, for who sees it for the first time."""

HELP_OF_GIVEN_PICTURES: Mapping[str, str] = {
    "generate": "take the pictures that were given",
    **{name: STAGE_HELP[name] for name in ("judge", "retrieve", "compare", "rank", "report")},
}
"""The stages of a run whose pictures are given: without a model there is no counterfactual."""
