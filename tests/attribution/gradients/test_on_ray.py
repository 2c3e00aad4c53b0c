"""Rows of a gradient store come from a cluster as from here, also when a node dies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import untrain
from tests.helpers.clusters import Nodes
from untrain.attribution.gradients import store as stores
from untrain.attribution.gradients.on_ray import OnRay
from untrain.attribution.gradients.outputs import OUTPUTS
from untrain.attribution.gradients.store import Elsewhere, GradientStore, Parts
from untrain.core.errors import InputError
from untrain.core.threads import threads_set
from untrain.runs.evidence import fitted_model
from untrain.runs.run import open_run


def content(store: GradientStore) -> list[bytes]:
    assert len(store.rows) == len(store.catalog)
    return [(store.folder / name).read_bytes() for name in ("rows.bin", "scales.bin", "hashes.bin")]


@pytest.mark.slow
def test_a_node_is_lost_while_rows_are_computed(
    nodes: Nodes, micro_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(micro_run)
    model, trainer = fitted_model(run), run.trainer

    def made(name: str, elsewhere: Elsewhere | None = None) -> GradientStore:
        return GradientStore(
            model, run.catalog, OUTPUTS["squared"], 512, 3, folder=tmp_path / name,
            elsewhere=elsewhere,
        )  # fmt: skip

    spec = trainer.spec.settled(trainer.generator)
    there = OnRay(spec, trainer.shared, trainer.reopen, nodes.cluster.address)

    def losing(store: GradientStore, parts: Sequence[Sequence[str]]) -> Parts:
        assert len(parts) > 1
        for count, rows in enumerate(there(store, parts)):
            if not count:
                nodes.cluster.remove_node(nodes.second, allow_graceful=False)
            yield rows

    with threads_set(1):
        here = content(made("here"))
    monkeypatch.setattr(stores, "PART", stores.BATCH)
    assert content(made("there", losing)) == here


@pytest.mark.slow
def test_a_run_is_asked_on_a_cluster(
    nodes: Nodes, micro_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for engine in (None, "ray"):
        monkeypatch.setenv("UNTRAIN_CACHE", str(tmp_path / str(engine)))
        address = nodes.client if engine else None
        with threads_set(1):
            asked = untrain.attribute(
                micro_run, method="dtrak", prompts="p00", engine=engine, address=address
            )
        found.append(asked.found.values["dtrak"])
    np.testing.assert_array_equal(*found)


def test_engines_of_attribution(micro_run: Path) -> None:
    for given, message in (
        ({"engine": "rai"}, "did you mean 'ray'"),
        ({"engine": "local", "address": "auto"}, "is of no use to the engine 'local'"),
    ):
        with pytest.raises(InputError, match=message):
            untrain.attribute(micro_run, method="dtrak", prompts="p00", **given)
