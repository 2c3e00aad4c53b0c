"""untrain: which training images is a picture made of, and what happens when they are gone?

The command line's reach in Python:

>>> import untrain
>>> experiment = untrain.Experiment.from_yaml("experiment.yaml")
>>> result = experiment.run()
>>> result.ranking.columns.tolist()
['method', 'prompt_id', 'image_id', 'score', 'rank']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from untrain.core.threads import sleep_while_waiting

__version__ = "0.1.0"

sleep_while_waiting()  # before anything loads torch

_PUBLIC = {
    "Attribution": "untrain.api",
    "Bank": "untrain.api",
    "Benchmark": "untrain.banks.benchmark.read",
    "Calibration": "untrain.attribution.calibration",
    "Catalog": "untrain.catalogs",
    "Config": "untrain.settings.config",
    "CopyDetector": "untrain.search.copy_detector",
    "DalleGenerator": "untrain.generators.dalle.generator",
    "Encoder": "untrain.encoders",
    "Effect": "untrain.api",
    "Experiment": "untrain.api",
    "Generations": "untrain.generators.base",
    "Generator": "untrain.generators.base",
    "Guard": "untrain.api",
    "InputError": "untrain.core.errors",
    "Leaderboard": "untrain.runs.leaderboard",
    "Noise": "untrain.generators.base",
    "PictureFrame": "untrain.catalogs.picture_frame",
    "Plan": "untrain.experiment.planned",
    "Result": "untrain.api",
    "Shares": "untrain.runs.shares",
    "Takedown": "untrain.api",
    "Traced": "untrain.api",
    "UnlearnedModel": "untrain.api",
    "UntrainError": "untrain.core.errors",
    "attribute": "untrain.api",
    "calibrate": "untrain.api",
    "check_generator": "untrain.testing",
    "export_folder": "untrain.catalogs",
    "inspect": "untrain.catalogs",
    "kept_rows": "untrain.generators.base",
    "load": "untrain.api",
    "load_catalog": "untrain.catalogs",
    "load_config": "untrain.settings.load",
    "load_encoder": "untrain.encoders",
    "load_result": "untrain.api",
    "preset_of": "untrain.generators.dalle.presets",
    "read_image": "untrain.core.images",
    "register": "untrain.generators.registry",
    "takedown": "untrain.api",
    "trace": "untrain.api",
    "trust": "untrain.api",
}
__all__ = [  # spelt out for type checkers
    "Attribution",
    "Bank",
    "Benchmark",
    "Calibration",
    "Catalog",
    "Config",
    "CopyDetector",
    "DalleGenerator",
    "Effect",
    "Encoder",
    "Experiment",
    "Generations",
    "Generator",
    "Guard",
    "InputError",
    "Leaderboard",
    "Noise",
    "PictureFrame",
    "Plan",
    "Result",
    "Shares",
    "Takedown",
    "Traced",
    "UnlearnedModel",
    "UntrainError",
    "__version__",
    "attribute",
    "calibrate",
    "check_generator",
    "export_folder",
    "inspect",
    "kept_rows",
    "load",
    "load_catalog",
    "load_config",
    "load_encoder",
    "load_result",
    "preset_of",
    "read_image",
    "register",
    "takedown",
    "trace",
    "trust",
]

if TYPE_CHECKING:
    from untrain.api import (
        Attribution,
        Bank,
        Effect,
        Experiment,
        Guard,
        Result,
        Takedown,
        Traced,
        UnlearnedModel,
        attribute,
        calibrate,
        load,
        load_result,
        takedown,
        trace,
        trust,
    )
    from untrain.attribution.calibration import Calibration
    from untrain.banks.benchmark.read import Benchmark
    from untrain.catalogs import Catalog, export_folder, inspect, load_catalog
    from untrain.catalogs.picture_frame import PictureFrame
    from untrain.core.errors import InputError, UntrainError
    from untrain.core.images import read_image
    from untrain.encoders import Encoder, load_encoder
    from untrain.experiment.planned import Plan
    from untrain.generators.base import Generations, Generator, Noise, kept_rows
    from untrain.generators.dalle.generator import DalleGenerator
    from untrain.generators.dalle.presets import preset_of
    from untrain.generators.registry import register
    from untrain.runs.leaderboard import Leaderboard
    from untrain.runs.shares import Shares
    from untrain.search.copy_detector import CopyDetector
    from untrain.settings.config import Config
    from untrain.settings.load import load_config
    from untrain.testing import check_generator


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for: ``import untrain`` stays quick."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'untrain' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """List the public names, whether or not they were asked for yet."""
    return sorted(__all__)
