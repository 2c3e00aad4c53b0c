from __future__ import annotations

from tests.helpers.clusters import nodes, ray, ray_folder  # noqa: F401
from tests.helpers.experiments import (  # noqa: F401
    config,
    groups,
    no_figures,
    no_quality_gate,
    one_thread,
    quiet,
    trained,
)
