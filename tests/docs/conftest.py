"""Stand-ins that let every snippet run in seconds: small photos, small models, finished runs."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.commands import Untrain, command_line
from tests.helpers.places import ROOT
from tests.helpers.snippets import blocks_of
from untrain.attribution import fitting
from untrain.banks import bank as parts
from untrain.banks.groups import bank as groups
from untrain.catalogs import export_folder, rendered
from untrain.core.progress import console
from untrain.core.tables import EFFECTS
from untrain.core.tensors import read_arrays, write_arrays
from untrain.experiment.stages import judge
from untrain.report.page import write as page
from untrain.settings import load as config_module
from untrain.settings.config import Config
from untrain.settings.sections import GeneratorConfig

PROMPTS = "a red shirt\na blue bag\ngreen shoes\na grey watch\n"
BANK = 8  # models of a bank, whatever --models says
GROUPS = 5  # models of each share of a bank of groups


def small_generator(config: Config) -> GeneratorConfig:
    """Return the same generator small; one that needs weights becomes the built-in one."""
    name = config.generator.name
    small: dict[str, dict[str, Any]] = {
        "dalle": {"preset": "micro"},
        "diffusion": {"name": name, "preset": "diffusion-micro", "settings": {"epochs": 1}},
        "lora": {"preset": "micro"},
    }
    return GeneratorConfig(**small[name]) if name in small else config.generator


def reduced(config: Config, folder: Path) -> Config:
    """Return an experiment of the same kind that takes seconds.

    It is called when the file and the command line have been read and checked as they are. Models
    become ``micro``, sets small; data and weights that no test machine has become the photos and
    the encoder ``layout``.
    """
    data = config.data.model_copy(update={"subset": None, "families": 12, "family_size": 4})
    if data.format == "fashion":
        data = data.model_copy(update={"format": "folder", "path": folder / "photos"})
    if data.plant:
        data = data.model_copy(
            update={"plant": data.plant.model_copy(update={"items": 1, "copies": 3})}
        )
    prompts = config.prompts.model_copy(
        update={
            "families": min(config.prompts.families, 4),
            "controls": min(config.prompts.controls, 1),
        }
    )
    if prompts.file and not prompts.file.exists():
        prompts = prompts.model_copy(update={"file": folder / "prompts.txt"})
    encoder = config.encoder
    if encoder.name == "transformers":
        encoder = encoder.model_copy(update={"name": "layout", "options": {}})
    sizes = tuple(range(2, 2 + len(config.removal.k)))
    changed: dict[str, Any] = {
        "data": data,
        "prompts": prompts,
        "encoder": encoder,
        "generations": config.given or 1,
        "workers": 1,
        "generator": small_generator(config),
        "retrieval": config.retrieval.model_copy(update={"top": 10}),
        "removal": config.removal.model_copy(update={"k": sizes}),
        "design": config.design.model_copy(update={"models": 4}),
        "evaluation": config.evaluation.model_copy(update={"draws": 100}),
    }
    return config.model_copy(update=changed)


@pytest.fixture(scope="package")  # what it changes must not reach other tests
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make everything small; return the folder in which the snippets' own files lie."""
    folder = tmp_path_factory.mktemp("docs")
    resolve, train_bank = config_module.resolve_paths, parts.train_bank
    threads, quiet = torch.get_num_threads(), console.quiet
    with pytest.MonkeyPatch.context() as patch:
        # Not load_config itself: others have imported it by name.
        patch.setattr(
            config_module, "resolve_paths", lambda *given: reduced(resolve(*given), folder)
        )
        patch.setattr(
            parts, "train_bank", lambda run, n, *rest: train_bank(run, min(n, BANK), *rest)
        )
        patch.setattr(groups, "default_models", lambda *given: GROUPS)
        patch.setattr(fitting, "FOLDS", 2)  # weights need two prompts a fold
        # Most of the seconds of a run this small, and nothing that a snippet is about.
        patch.setattr(judge, "judge_pictures", lambda *arguments: None)
        patch.setattr(page, "figures", lambda run: [])
        torch.set_num_threads(1)
        yield folder
    torch.set_num_threads(threads)
    console.quiet = quiet


@pytest.fixture(scope="package")  # what it changes must not reach other tests
def prepared(small: Path) -> Iterator[Path]:
    """A folder such as the pages speak of: photos, prompts, an experiment, finished runs."""
    import untrain

    catalog = rendered(families=12, size_of_family=4, resolution=16)
    export_folder(catalog, [], small / "photos")
    (small / "prompts.txt").write_text(PROMPTS)
    shutil.copy(small / "photos" / f"{catalog.ids[0]}.png", small / "picture.png")
    (small / "letter").mkdir()
    shutil.copy(small / "picture.png", small / "letter" / "mine.png")
    shutil.copytree(ROOT / "examples", small / "examples")
    for name in ("src", "benchmarks"):
        (small / name).symlink_to(ROOT / name)
    readme = {block.title: block.text for block in blocks_of(ROOT / "README.md")}
    (small / "experiment.yaml").write_text(readme["experiment.yaml"])
    console.quiet = True
    with contextlib.chdir(small):
        untrain.Experiment.from_yaml("experiment.yaml").run()
        demo = "src/untrain/settings/demo.yaml"
        untrain.Experiment.from_yaml(demo).run()
        for number, name in enumerate(("seed-1", "seed-2", "seed-3"), start=1):
            shutil.copytree("runs/demo", f"runs/{name}")
            effects = EFFECTS.read(Path("runs", name))
            effects["effect"] *= 1 + number / 100  # else they are seen to be one run given twice
            EFFECTS.write(Path("runs", name), effects)
            tokens = Path("runs", name, "queries.safetensors")
            samples = read_arrays(tokens)
            write_arrays(tokens, {k: np.roll(each, number, -1) for k, each in samples.items()})
    before = _linked(small)
    yield small
    assert _linked(small) == before, "a page changed a file in place that all pages share"


LINKED = (".png", ".parquet", ".safetensors", ".svg", ".pdf")
"""Files that are only ever written anew under another name, never changed."""


def _linked(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of the files that pages share."""
    files = [path for path in folder.rglob("*") if path.suffix in LINKED]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def _taken_over(source: str, target: str) -> None:
    """Link what is never changed in place, copy the rest."""
    if source.endswith(LINKED):
        with contextlib.suppress(OSError):  # not every file system can
            os.link(source, target)
            return
    shutil.copy2(source, target)


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the prepared folder for one page, as the working folder."""
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder, symlinks=True, copy_function=_taken_over)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def untrain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Untrain:
    """Return a function that calls the command line in the working folder."""
    return command_line(monkeypatch, capsys)
