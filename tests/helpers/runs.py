"""Runs of experiments for tests."""

from __future__ import annotations

from untrain.experiment.pipeline import run_stages
from untrain.runs.run import Run
from untrain.settings.config import Config


def run(config: Config, until: str = "report") -> Run:
    """Run an experiment up to a stage, skipping what is done; return the run for looking at."""
    opened = Run(config)
    run_stages(opened, until)
    return opened
