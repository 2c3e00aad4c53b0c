"""Real Ray clusters on this machine, as fixtures."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest


@pytest.fixture(scope="module")
def ray_folder() -> Iterator[None]:
    """Where Ray keeps sockets and logs: apart from the user's, with a short path, as it must be."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("TMPDIR", folder)  # of trainings that die untidily
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S", "120")  # of a busy machine
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ray(ray_folder: None) -> Iterator[Any]:
    """Ray on this machine, for tests that do not start their own."""
    module = pytest.importorskip("ray", reason="needs Ray: untrain[ray]")
    module.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield module
    module.shutdown()


@dataclass(frozen=True)
class Nodes:
    """A Ray cluster of two nodes on this machine, a model at a time on each."""

    cluster: Any
    second: Any
    client: str


@pytest.fixture
def nodes(ray_folder: None) -> Iterator[Nodes]:
    ray = pytest.importorskip("ray", reason="needs Ray: untrain[ray]")
    from ray.cluster_utils import Cluster

    ray.shutdown()  # that of other tests
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield Nodes(cluster, cluster.add_node(num_cpus=1), f"ray://127.0.0.1:{port}")
    finally:
        ray.shutdown()
        cluster.shutdown()
