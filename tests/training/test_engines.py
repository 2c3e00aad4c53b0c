"""Engines train the same models: in processes here, or as Ray tasks whose nodes may die."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.clusters import Nodes
from tests.helpers.processes import descendants, gone, needs_proc
from tests.helpers.runs import run
from tests.helpers.settings import MICRO
from untrain.cli import options
from untrain.core import cluster
from untrain.core.errors import InputError, UntrainError
from untrain.core.notes import Note
from untrain.experiment import pipeline
from untrain.generators.dalle.generator import DalleGenerator
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.settings.load import load_config
from untrain.training import ray as on_ray
from untrain.training.base import Batch, Group, Job, ModelRequest, TrainingMode
from untrain.training.engines import ENGINES
from untrain.training.ray import RayEngine

Make = Callable[..., Config]

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: untrain[ray]")


# What is set -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "name", "address"),
    [
        ("engine=ray", "ray", None),
        ("engine={name: ray, address: auto}", "ray", "auto"),
        ("engine.name=local", "local", None),
    ],
)
def test_an_engine_is_named_alone_or_with_an_address(
    config: Make, said: str, name: str, address: str | None
) -> None:
    assert config().engine.name == "local"
    engine = config(said).engine
    assert (engine.name, engine.address) == (name, address)


def test_options_of_the_command_line(tmp_path: Path) -> None:
    def said(**given: str) -> tuple[str, str | None]:
        engine = options._read(given, MICRO).engine
        return engine.name, engine.address

    assert said() == said(engine="local") == ("local", None)
    assert said(address="auto") == said(engine="ray", address="auto") == ("ray", "auto")
    file = tmp_path / "mine.yaml"
    file.write_text(MICRO.read_text() + "engine: {name: ray, address: auto}\n")
    chosen = load_config(file, engine="local").engine
    assert (chosen.name, chosen.address) == ("local", None)


@pytest.mark.parametrize("engine", ["rai", {"name": "rai", "address": "auto"}])
def test_an_unknown_engine(engine: Any) -> None:
    with pytest.raises(InputError, match=r"--engine rai: .*did you mean 'ray'"):
        load_config(MICRO, engine=engine)


def test_stages_are_not_known_by_their_engine(config: Make) -> None:
    here, there = Run(config()), Run(config("engine={name: ray, address: auto}", "workers=9"))
    assert pipeline.keys(here) == pipeline.keys(there)


def test_no_address_for_the_engine_of_this_machine(config: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"engine.address is 'auto'.*'local'"):
        run(config("engine={name: local, address: auto}"))
    assert not (tmp_path / "runs" / "micro").exists()


def test_ray_is_not_installed(
    config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'untrain\[ray\]'"):
        run(config("engine=ray"))
    assert not (tmp_path / "runs" / "micro").exists()


@needs_ray
@pytest.mark.parametrize("address", ["nowhere", "http://here:1", "ray://", "here:port", "a:99999"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InputError, match="must be auto, host:port or ray://host:port, found"):
        RayEngine(address).check()


@needs_ray
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_does_not_answer(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match="no Ray cluster answers at"):
            RayEngine(address).check()


@needs_ray
def test_auto_finds_no_cluster_or_one_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services

    def nowhere(address: str) -> str:
        raise ConnectionError

    monkeypatch.setattr(services, "canonicalize_bootstrap_address_or_die", nowhere)
    with pytest.raises(InputError, match="no Ray cluster was started on this machine"):
        RayEngine("auto").check()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        ended = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(services, "canonicalize_bootstrap_address_or_die", lambda _: ended)
        with pytest.raises(InputError, match=f"answers at '{ended}', where .* last"):
            RayEngine("auto").check()


def test_a_connection_that_is_broken_off_is_tried_again() -> None:
    tries: list[str] = []

    def late(times: int, address: str) -> None:
        tries.append(address)
        if len(tries) <= times:
            raise ConnectionAbortedError(f"failure {len(tries)}")

    cluster.connect(partial(late, 2), "ray://head:10001", {}, pause=0)
    assert tries == ["ray://head:10001"] * 3
    tries.clear()
    with pytest.raises(ConnectionAbortedError, match="failure 3"):
        cluster.connect(partial(late, 3), "ray://head:10001", {}, pause=0)


def test_a_connection_that_is_refused_is_not_tried_again() -> None:
    tries = []

    def refuse(address: str) -> None:
        tries.append(address)
        raise ConnectionError("nobody is there")

    with pytest.raises(ConnectionError, match="nobody"):
        cluster.connect(refuse, "ray://head:10001", {}, pause=0)
    assert tries == ["ray://head:10001"]


# Trainings that cost nothing, on a real Ray ------------------------------------------------------


@pytest.fixture
def batch(tmp_path: Path) -> Callable[..., Batch]:
    """Return a function: a batch of models of a run folder that holds no more than is shipped."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "catalog.parquet").write_bytes(b"index")
    (tmp_path / "shared" / "deep").mkdir(parents=True)
    (tmp_path / "shared" / "deep" / "tokens").write_bytes(bytes(range(256)))
    (tmp_path / "notes").mkdir()

    def make(job: Callable[..., float], models: int = 2, **changes: Any) -> Batch:
        given = Batch(
            job=partial(job, tmp_path / "notes"),
            folder=tmp_path / "run",
            shared=tmp_path / "shared",
            groups=tuple((ModelRequest(f"model-{i}", i, (f"image-{i}",)),) for i in range(models)),
            mode=TrainingMode(),
            workers=None,
            label="models",
            work=models,
            warn=lambda message: None,
        )
        return replace(given, **changes)

    return make


def tell(notes: Path, folder: Path, shared: Path, group: Group, mode: TrainingMode) -> None:
    """Train nothing: write down what was given, and how often it was tried."""
    import torch

    for model in group:
        noted = notes / model.model_id
        tries = len(list(noted.glob("*"))) if noted.exists() else 0
        noted.mkdir(exist_ok=True)
        (noted / str(tries)).write_text(str(folder))
        index = (folder / "catalog.parquet").read_text()
        tokens = (shared / "deep" / "tokens").read_bytes().hex()
        target = folder / "models" / model.model_id / "deep"
        target.mkdir(parents=True)
        given = [index, tokens, *model, mode.stack, torch.get_num_threads()]
        (target / "given.json").write_text(json.dumps(given))


def die_once(notes: Path, folder: Path, shared: Path, group: Group, mode: TrainingMode) -> None:
    tell(notes, folder, shared, group, mode)
    if len(list((notes / group[0].model_id).iterdir())) == 1:
        os._exit(1)


def die(*given: Any) -> None:
    os._exit(1)


def fail_but_the_first(
    notes: Path, folder: Path, shared: Path, group: Group, mode: TrainingMode
) -> None:
    if group[0].model_id != "model-0":
        while not (notes / "model-0").exists():
            time.sleep(0.02)
        time.sleep(0.5)
        raise InputError(f"{group[0].model_id} is refused")
    tell(notes, folder, shared, group, mode)


def never_end(notes: Path, folder: Path, shared: Path, group: Group, mode: TrainingMode) -> None:
    tell(notes, folder, shared, group, mode)
    while True:
        time.sleep(0.02)


def given_to(batch: Batch, key: str) -> list[Any]:
    return json.loads((batch.folder / "models" / key / "deep" / "given.json").read_text())


def tried_in(batch: Batch) -> list[Path]:
    """The folders that trainings were given, on whatever node."""
    notes = sorted((batch.folder.parent / "notes").glob("*/*"))
    return [Path(note.read_text()) for note in notes]


@pytest.mark.slow
def test_what_a_training_reads_travels_and_what_it_leaves_comes_back(
    ray: Any, batch: Callable[..., Batch]
) -> None:
    trained = batch(tell, models=3, workers=2)
    RayEngine().train(trained)
    tokens = bytes(range(256)).hex()
    for i in range(3):
        key = f"model-{i}"
        assert given_to(trained, key) == ["index", tokens, key, i, [f"image-{i}"], 1, 1]
    assert {path.name for path in trained.folder.iterdir()} == {"catalog.parquet", "models"}
    assert len(tried_in(trained)) == 3
    assert not any(folder.exists() for folder in tried_in(trained))
    assert ray.is_initialized()  # it was not the engine's to end


@pytest.mark.slow
def test_the_models_of_a_stack_travel_together(ray: Any, batch: Callable[..., Batch]) -> None:
    models = [ModelRequest(f"model-{i}", 7, (f"image-{i}",)) for i in range(5)]
    groups = (tuple(models[:3]), tuple(models[3:]))
    trained = batch(tell, groups=groups, mode=TrainingMode(stack=3))
    RayEngine().train(trained)
    for model in models:
        given = given_to(trained, model.model_id)
        assert given[2:] == [model.model_id, 7, list(model.removed), 3, 1]
    assert len(set(tried_in(trained))) == 2


def test_nothing_to_train_starts_nothing(
    batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "import_ray", None)
    RayEngine().train(batch(tell, models=0))


@pytest.mark.slow
def test_a_training_whose_process_dies_is_started_again(
    ray: Any, batch: Callable[..., Batch]
) -> None:
    trained = batch(die_once, models=1)
    RayEngine().train(trained)
    assert len(tried_in(trained)) == 2
    assert given_to(trained, "model-0")[2] == "model-0"


def test_a_training_that_always_dies(
    ray: Any, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "RETRIES", 0)
    with pytest.raises(UntrainError, match=r"process dies(.|\n)*same command again") as told:
        RayEngine().train(batch(die, models=1))
    assert told.value.exit_code == 1


@pytest.mark.slow
def test_a_failure_ends_the_others_and_keeps_what_is_done(
    ray: Any, batch: Callable[..., Batch]
) -> None:
    trained = batch(fail_but_the_first, models=4)
    with pytest.raises(InputError) as told:
        RayEngine().train(trained)
    assert type(told.value) is InputError
    assert str(told.value).endswith("is refused")
    assert [path.name for path in (trained.folder / "models").iterdir()] == ["model-0"]


@pytest.mark.slow
def test_ctrl_c_ends_the_trainings(ray: Any, batch: Callable[..., Batch]) -> None:
    trained = batch(never_end, models=3)

    def interrupt() -> None:
        while len(tried_in(trained)) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        RayEngine().train(trained)
    assert len(tried_in(trained)) == 2
    assert not any(folder.exists() for folder in tried_in(trained))  # they tidied up
    assert not (trained.folder / "models").exists()


@pytest.mark.slow
def test_a_node_with_other_libraries_is_refused(
    ray: Any, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "_machine", lambda mode: {"torch": "1.0", "device": "cpu"})
    with pytest.raises(InputError, match=r"the node '.*' .* has torch '.*', .* the run '1.0'"):
        RayEngine().train(batch(tell))


def test_processors_that_round_differently_are_told(
    ray: Any, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Note] = []
    monkeypatch.setattr(cluster, "processor", lambda: "Z80")
    RayEngine().train(batch(tell, warn=told.append))
    assert len(told) == 1
    assert "Z80" in told[0].about


# Real models -------------------------------------------------------------------------------------


def models_of(made: Config, where: Path) -> dict[tuple[str, str], bytes]:
    """Train four models in a fresh run; return every file of each."""
    opened = Run(made.model_copy(update={"runs": where}))
    opened.trainer.prepare()
    ids = opened.catalog.ids
    requests = [ModelRequest(str(i), 5 + i % 2, ids[: 7 * i]) for i in range(4)]
    table = opened.trainer.train(requests, "models")
    return {
        (row.model_id, file.name): file.read_bytes()
        for row in table.itertuples()
        for file in sorted((opened.folder / row.path).iterdir())
    }


@pytest.mark.parametrize("stack", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_ray_trains_the_same_models(
    ray: Any, config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: int
) -> None:
    monkeypatch.setattr(DalleGenerator, "stack_size", stack)
    here = models_of(config(), tmp_path / "here")
    there = models_of(config("engine=ray", "workers=2"), tmp_path / "there")
    assert here == there
    assert len({weights for (_, name), weights in here.items() if name.endswith("rs")}) == 4


def through(address: str) -> str:
    return f"engine={{name: ray, address: '{address}'}}"


@pytest.mark.slow
def test_a_node_is_lost_in_the_middle(
    nodes: Nodes,
    config: Make,
    tmp_path: Path,
) -> None:
    longer = "generator.settings={epochs: 40}"
    here = models_of(config(longer), tmp_path / "here")
    notes = tmp_path / "notes"
    notes.mkdir()

    def noting(job: Job, folder: Path, shared: Path, group: Group, mode: TrainingMode) -> None:
        import ray

        (notes / f"{ray.get_runtime_context().get_node_id()}-{group[0].model_id}").touch()
        while len({note.name.partition("-")[0] for note in notes.iterdir()}) < 2:
            time.sleep(0.02)  # until both nodes train
        job(folder, shared, group, mode)

    class Noting(RayEngine):
        def train(self, batch: Batch) -> None:
            super().train(replace(batch, job=partial(noting, batch.job)))

    def lose() -> None:
        while not started(nodes.second.node_id):
            time.sleep(0.02)
        time.sleep(0.5)
        nodes.cluster.remove_node(nodes.second, allow_graceful=False)

    def started(node: str) -> set[str]:
        return {note.name.removeprefix(f"{node}-") for note in notes.glob(f"{node}-*")}

    thief = threading.Thread(target=lose, daemon=True)
    thief.start()
    made = config(longer, "workers=2", through(nodes.cluster.address))
    with ENGINES.temporary(ray=Noting):
        there = models_of(made, tmp_path / "there")
    thief.join(60)
    assert here == there
    lost, kept = (started(n.node_id) for n in (nodes.second, nodes.cluster.head_node))
    assert len(lost & kept) == 1  # what was in training on the lost node was started again
    assert len(lost | kept) == 4


@pytest.mark.slow
def test_a_cluster_elsewhere(nodes: Nodes, config: Make, tmp_path: Path) -> None:
    RayEngine(nodes.client).check()
    here = models_of(config(), tmp_path / "here")
    assert here == models_of(config(through(nodes.client)), tmp_path / "there")


@pytest.mark.slow
@needs_ray
@needs_proc
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_leaves_no_processes(ray_folder: None, tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "node").mkdir()
    settings = ["--set", "generator.settings={epochs: 4000}", "--runs", tmp_path / "runs"]
    main = [sys.executable, "-c", "from untrain.cli import main; main()"]
    process = subprocess.Popen(
        [*main, "run", MICRO, "--engine", "ray", *settings],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path / "node")},
    )
    while not (training := list((tmp_path / "node").glob("**/untrain-*/run"))):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    started = descendants(process.pid)
    assert len(started) > 2
    (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
    _, told = process.communicate(timeout=60)
    assert gone(started, 20 if how == signal.SIGINT else 120)  # Ray's agents take half a minute
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command again" in told
        assert "Traceback" not in told
        assert not training[0].exists()
