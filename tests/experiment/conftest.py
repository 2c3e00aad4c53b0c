from __future__ import annotations

from tests.helpers.experiments import (  # noqa: F401
    config,
    no_figures,
    no_quality_gate,
    one_thread,
    quiet,
    trained,
)
