"""A generator of the user's own in a run: found by name, trained by workers, measured, reported."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

import untrain
from tests.helpers import painter
from tests.helpers.painter import Painter
from tests.helpers.runs import run
from untrain.banks.bank import train_bank
from untrain.core.errors import InputError
from untrain.experiment.pipeline import keys
from untrain.experiment.plan import plan
from untrain.generators.registry import GENERATORS, make_generator, register
from untrain.report.answer import answer
from untrain.runs.results import read_results
from untrain.runs.run import Run
from untrain.settings.config import Config
from untrain.settings.load import load_config

Make = Callable[..., Config]
OWN = "tests.helpers.painter:Painter"


class Mute(Painter):
    """Says nothing about likelihood."""

    log_likelihood = None  # type: ignore[assignment]


MUTE = f"{__name__}:Mute"


@pytest.fixture
def names() -> Iterator[None]:
    """Names that a test registers, gone after it."""
    with GENERATORS.temporary():
        yield


# Found -------------------------------------------------------------------------------------------


def test_the_same_class_by_any_name(
    tmp_path: Path, names: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shutil.copy(painter.__file__, tmp_path / "painter.py")
    register("registered")(Painter)
    installed = tmp_path / "site" / "painter-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: painter\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[untrain.generators]\ninstalled = {OWN}\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    every = [OWN, f"{file}:Painter", "registered", "installed"]
    made = [make_generator(name, epochs=2) for name in every]
    assert [type(generator).__name__ for generator in made] == ["Painter"] * 4
    recipes = [generator.recipe() for generator in made]
    assert all(recipe == recipes[0] for recipe in recipes)  # so that their models are one
    assert recipes[0]["class"] == "painter:Painter" and recipes[0]["options"]["epochs"] == 2


def test_an_edit_trains_anew_unless_there_is_a_version(tmp_path: Path) -> None:
    source = Path(painter.__file__).read_text()
    found = []
    for name, text in (("one", source), ("two", source.replace("0.1 * noise", "0.2 * noise"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own.py").write_text(text)
        found.append(make_generator(f"{tmp_path / name}/own.py:Painter"))
    assert found[0].recipe() != found[1].recipe()
    type(found[0]).version = type(found[1]).version = "3"
    assert found[0].recipe() == found[1].recipe()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("dale", {}, "did you mean 'dalle'"),
        ("no_such_module:Painter", {}, "run from the folder that holds no_such_module"),
        ("tests.helpers.painter:Pinter", {}, "did you mean 'Painter'"),
        ("nowhere/model.py:Painter", {}, "does not exist; expected a Python file"),
        (OWN, {"epoch": 3}, "its options: epochs, rate"),
        (f"{__name__}:Half", {}, "has no method generate, load, save"),
        (f"{__name__}:Sizeless", {}, "has no attribute image_size"),
        (f"{__name__}:Forgetful", {}, "self.epochs = epochs"),
    ],
)
def test_what_cannot_be_made_is_told(name: str, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_generator(name, **options).recipe()


class Half(untrain.Generator):
    """A part of the contract."""

    def fit(self, *arguments: object) -> None: ...  # type: ignore[override]


class Sizeless(Painter):
    """Does not say how large its pictures are."""

    def __getattribute__(self, name: str) -> object:
        if name == "image_size":
            raise AttributeError(name)
        return super().__getattribute__(name)


class Forgetful(Painter):
    """Does not keep its options."""

    def __init__(self, epochs: int = 3) -> None:
        self.rate = 0.05


def test_in_an_experiment_file(tmp_path: Path, config: Make) -> None:
    for said in (OWN, f"{{name: '{OWN}', options: {{epochs: 2}}}}"):
        found = config(f"generator={said}").generator
        assert (found.name, found.preset) == (OWN, None)
    shutil.copy(painter.__file__, tmp_path / "model.py")
    text = "generator: model.py:Painter\nprompts: {families: 3}\n"
    (tmp_path / "own.yaml").write_text(text)
    loaded = load_config(tmp_path / "own.yaml")
    assert loaded.generator.name == f"{tmp_path / 'model.py'}:Painter"
    with pytest.raises(InputError, match=r"generator\.preset: .* has no presets"):
        config(f"generator={{name: '{OWN}', preset: micro}}")
    with pytest.raises(InputError, match=r"generator\.name: unknown generator 'dale'"):
        config("generator.name=dale")


def test_the_default_is_still_the_reference_generator(config: Make) -> None:
    found = config().generator
    assert (found.name, found.preset) == ("dalle", "micro")
    assert config("generator={settings: {epochs: 2}}").generator.preset == "tiny"
    assert config("generator=diffusion").generator.preset == "diffusion-tiny"


# In a run ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _finished(tmp_path_factory.mktemp("own"), OWN)


@pytest.fixture(scope="module")
def mute_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _finished(tmp_path_factory.mktemp("mute"), MUTE)


def _finished(folder: Path, name: str) -> Path:
    from tests.helpers.settings import MICRO

    settings = ["workers=1", f"generator={name}"]
    return run(load_config(MICRO, settings, runs=folder)).folder


def test_the_whole_chain(own_run: Path) -> None:
    record = json.loads((own_run / "run.json").read_text())
    assert record["generator"]["unit"] == "loss" and record["generator"]["measure"] == "loss"
    assert record["generator"]["margin"] is None and record["generator"]["frozen"] == ""
    measures = pd.read_parquet(own_run / "results/measures.parquet")
    assert {"loss", "removed_loss", "heldout_loss"} <= set(measures["measure"])
    assert "nll" not in set(measures["measure"])
    summary = json.loads((own_run / "results/summary.json").read_text())
    assert summary["unit"] == "loss" and summary["effects_loss"]
    assert summary["verdicts"].get("not attributable", 0) == 0  # no margin is known


def test_the_report_speaks_in_its_unit(own_run: Path, mute_run: Path) -> None:
    for folder, words in ((own_run, "(loss)"), (mute_run, "(similarity)")):
        data = read_results(folder)
        assert words in answer(data)
        told = [folder / "report.html", folder / "results/summary.md"]
        told += [*folder.glob("results/figures/*.svg"), *folder.glob("results/tables/*.tex")]
        for file in told:
            text = file.read_text().casefold()
            assert "bits per" not in text and "bits/token" not in text, file.name
            assert "autoencoder" not in text and "bits per token" not in text, file.name


def test_without_likelihood_pictures_are_compared(mute_run: Path) -> None:
    measures = pd.read_parquet(mute_run / "results/measures.parquet")
    found = set(measures["measure"])
    assert "dissimilarity" in found and not {"nll", "loss", "removed_loss"} & found
    of = measures.set_index(["model_id", "prompt_id", "generation", "measure"])["value"].unstack()
    others = of.drop(index="A", level="model_id").dropna(subset="dissimilarity")
    pd.testing.assert_series_equal(
        others["dissimilarity"], 1 - others["regeneration_cosine"], check_names=False
    )
    assert of.xs("A", level="model_id")["dissimilarity"].dropna().abs().max() < 1e-6
    effects = pd.read_parquet(mute_run / "results/effects.parquet")
    assert ((effects["measure"] == "dissimilarity") & (effects["arm"] == "targeted")).any()
    assert json.loads((mute_run / "run.json").read_text())["generator"]["margin"] == 0.02


@pytest.mark.slow
def test_workers_find_it(own_run: Path, config: Make) -> None:
    """Two processes give the same models, trained on pictures that they open themselves."""
    done = run(config("workers=2", f"generator={OWN}"), "retrain")
    expected, found = (pd.read_parquet(f / "models.parquet") for f in (own_run, done.folder))
    assert list(found["fingerprint"]) == list(expected["fingerprint"])
    for path in found["path"]:
        name = f"{path}/model.safetensors"
        assert (done.folder / name).read_bytes() == (own_run / name).read_bytes()


def test_a_bank_of_it(mute_run: Path, config: Make, tmp_path: Path) -> None:
    shutil.copytree(mute_run, tmp_path / "runs" / "micro")
    bank = train_bank(Run(config(f"generator={MUTE}")), 3)
    assert len(bank.models) == 3 and bank.outcomes["value"].between(0, 2).all()


def test_its_plan_says_what_it_does_not_know(config: Make) -> None:
    found = plan(config(f"generator={OWN}"))
    assert found.seconds is None and found.power is None
    lines = dict(found.lines())
    assert "unknown" in lines["time"] and "does not say" in lines["time"]
    assert "unknown until a run" in lines["power"]
    given = dict(plan(config(f"generator={OWN}", "evaluation.margin=0.01"), noise=0.01).lines())
    assert "(loss)" in given["power"] and "within ±0.01" in given["verdicts"]


def test_other_data_in_a_worker_are_noticed(own_run: Path, config: Make, tmp_path: Path) -> None:
    from untrain.runs.inputs import open_training_catalog
    from untrain.training.index import read_index
    from untrain.training.job import with_pictures

    shutil.copytree(own_run, tmp_path / "runs" / "micro")
    with pytest.raises(InputError, match="are not what they were"):
        settings = config("data.seed=9", f"generator={OWN}").to_dict()
        with_pictures(read_index(own_run), partial(open_training_catalog, settings))


def test_options_and_code_are_part_of_the_keys(config: Make) -> None:
    known = keys(Run(config(f"generator={OWN}")))
    other = keys(Run(config(f"generator={{name: '{OWN}', options: {{epochs: 2}}}}")))
    assert known["fit"] != other["fit"] and known["retrieve"] == other["retrieve"]


def test_one_that_only_this_process_has_is_trained_here(
    config: Make, names: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mute, "__module__", "__main__")
    monkeypatch.setattr(Mute, "version", "1")
    register("mine")(Mute)
    done = run(config("workers=2", "generator=mine"), "retrain")
    assert any("trained one after another" in w["text"] for w in done.record["warnings"])
    assert len(done.table("models")) == 5
    with pytest.raises(InputError, match="other machines do not have"):
        run(config("workers=2", "generator=mine", "engine=ray", name="other"), "fit")


def test_registered_from_a_module_it_has_an_address(names: None) -> None:
    register("mine")(Mute)
    assert GENERATORS.address("mine") == MUTE
    assert GENERATORS.address("dalle") == "dalle"
    assert sys.modules[Mute.__module__].Mute is Mute
