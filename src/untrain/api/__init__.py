"""untrain in Python: an experiment that can be run, and its result as tables and pictures."""

from untrain.api.asking import attribute
from untrain.api.attribution import Attribution
from untrain.api.bank import Bank
from untrain.api.calibration import calibrate
from untrain.api.effect import Effect
from untrain.api.experiment import Experiment
from untrain.api.guard import Guard
from untrain.api.loading import load
from untrain.api.requested import Takedown, takedown
from untrain.api.result import Result, load_result
from untrain.api.tracing import Traced, trace
from untrain.api.trusting import trust
from untrain.api.unlearned import UnlearnedModel

__all__ = [
    "Attribution",
    "Bank",
    "Effect",
    "Experiment",
    "Guard",
    "Result",
    "Takedown",
    "Traced",
    "UnlearnedModel",
    "attribute",
    "calibrate",
    "load",
    "load_result",
    "takedown",
    "trace",
    "trust",
]
