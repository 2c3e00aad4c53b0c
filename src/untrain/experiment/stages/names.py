"""The names of the stages, apart from their code, so that ``--help`` imports nothing heavy."""

STAGE_HELP = {
    "fit": "train model A, which draws the pictures",
    "generate": "draw the pictures",
    "retrieve": "find candidates among the captions",
    "compare": "compare every picture with every candidate",
    "rank": "rank the candidates",
    "remove": "name the forget sets; nothing is deleted",
    "retrain": "train the models that are compared, without them",
    "regenerate": "draw the pictures again with the same noise",
    "evaluate": "measure, test and judge",
    "report": "write the report",
}

OF_GIVEN = ("generate", "retrieve", "compare", "rank", "report")
"""The stages of a run whose pictures are given: without a model there is no counterfactual."""
HELP_OF_GIVEN = STAGE_HELP | {"generate": "take the pictures that were given"}
