from __future__ import annotations

from tests.helpers.clusters import nodes, ray_folder  # noqa: F401
