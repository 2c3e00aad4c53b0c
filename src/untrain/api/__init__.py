"""untrain in Python: an experiment that can be run, and its result as tables and pictures."""

from untrain.api.experiment import Experiment
from untrain.api.result import Result, load_result

__all__ = ["Experiment", "Result", "load_result"]
