"""Scores in the files of other libraries, laid out by hand as these write them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.lib.format import open_memmap
from safetensors.torch import save_file

from untrain.core import given
from untrain.core.errors import InputError
from untrain.search.rank.arrays import read_array
from untrain.search.rank.scores import read_scores

VALUES = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)  # prompts, images
TENSOR = torch.from_numpy(VALUES)
IDS = [f"{n:03d}" for n in range(7)]
PROMPTS = pd.DataFrame(
    {
        "prompt_id": ["c0", "p0", "p1", "p2"],
        "prompt": ["a bag", "a", "b", "c"],
        "role": ["control", *["query"] * 3],
    }
)


@pytest.fixture(autouse=True)
def any_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read here was written here: a PyTorch that is not safe for others' files may."""
    monkeypatch.setattr(given, "SAFE_TORCH", "0")


def trak(folder: Path, finished: tuple[str, ...] = ("mine",)) -> Path:
    """As trak.savers.MmapSaver leaves a ``save_dir``."""
    (folder / "scores").mkdir()
    (folder / "0").mkdir()
    records = {}
    for name in ("mine", "begun"):
        stored = open_memmap(
            folder / "scores" / f"{name}.mmap", mode="w+", shape=VALUES.T.shape, dtype=np.float32
        )
        stored[:] = VALUES.T
        stored.flush()
        records[name] = {
            "num_targets": 3,
            "scores_path": f"/elsewhere/scores/{name}.mmap",
            "scores_finalized": int(name in finished),
        }
    (folder / "experiments.json").write_text(json.dumps(records))
    return folder


def dattri(folder: Path) -> Path:
    torch.save(TENSOR.T.contiguous(), folder / "score.pt")
    return folder / "score.pt"


def kronfluence(folder: Path) -> Path:
    save_file({"all_modules": TENSOR.clone()}, folder / "pairwise_scores.safetensors")
    return folder


def of_modules(folder: Path) -> Path:
    """With ``compute_per_module_scores``, which leaves the sum to its user."""
    parts = {"blocks.0": TENSOR - 1, "blocks.1": torch.ones_like(TENSOR)}
    save_file(parts, folder / "pairwise_scores.safetensors")
    return folder / "pairwise_scores.safetensors"


def quanda(folder: Path) -> Path:
    """Batches by number, of which there are more than ten: 10.pt comes after 2.pt."""
    for place, row in zip((0, 2, 10), TENSOR, strict=True):
        torch.save(row[None].clone(), folder / f"{place}.pt")
    return folder


def numpy(folder: Path) -> Path:
    np.save(folder / "scores.npy", VALUES)
    return folder / "scores.npy"


def of_pictures(folder: Path) -> Path:
    """Two pictures a prompt, whose mean is the prompt's."""
    np.save(folder / "scores.npy", np.stack([VALUES - 1, VALUES + 1], axis=1).reshape(6, 7))
    return folder / "scores.npy"


@pytest.mark.parametrize(
    "write", [trak, dattri, kronfluence, of_modules, quanda, numpy, of_pictures]
)
def test_every_library_s_file_is_the_same_scores(write, tmp_path: Path) -> None:
    path = write(tmp_path)
    np.testing.assert_allclose(read_array(path, 3, 7), VALUES, atol=1e-6)
    found = read_scores(path, PROMPTS, IDS).table
    wide = found.pivot(index="prompt_id", columns="image_id", values="score")
    np.testing.assert_allclose(wide.loc[["p0", "p1", "p2"], IDS], VALUES, atol=1e-6)


def test_a_file_of_trak_is_read_by_itself_and_half_precision_too(tmp_path: Path) -> None:
    trak(tmp_path)
    np.testing.assert_array_equal(read_array(tmp_path / "scores" / "begun.mmap", 3, 7), VALUES)
    save_file({"x": TENSOR.bfloat16()}, tmp_path / "half.safetensors")
    np.testing.assert_allclose(read_array(tmp_path / "half.safetensors", 3, 7), VALUES, rtol=0.01)


def test_an_array_is_turned_where_it_fits_only_so_and_nan_is_no_score(tmp_path: Path) -> None:
    np.save(tmp_path / "turned.npy", VALUES.T)
    np.testing.assert_array_equal(read_array(tmp_path / "turned.npy", 3, 7), VALUES)
    holes = VALUES.copy()
    holes[1, 2:] = np.nan
    np.save(tmp_path / "holes.npy", holes)
    assert len(read_scores(tmp_path / "holes.npy", PROMPTS, IDS).table) == 21 - 5


class Opens:
    """What a file could hold to run something when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("ran",))


def harmful(folder: Path) -> Path:
    torch.save({"scores": TENSOR, "more": Opens()}, folder / "s.pt")
    return folder / "s.pt"


def plain_pickle(folder: Path) -> Path:
    (folder / "s.pt").write_bytes(pickle.dumps(Opens()))
    return folder / "s.pt"


def objects(folder: Path) -> Path:
    np.save(folder / "s.npy", np.array([[Opens()]], dtype=object), allow_pickle=True)
    return folder / "s.npy"


def several(folder: Path) -> Path:
    torch.save({"a": TENSOR, "b": TENSOR}, folder / "s.pt")
    return folder / "s.pt"


def sparse(folder: Path) -> Path:
    torch.save(TENSOR.to_sparse(), folder / "s.pt")
    return folder / "s.pt"


def without_numbers(folder: Path) -> Path:
    torch.save(TENSOR.to("meta"), folder / "s.pt")
    return folder / "s.pt"


def wrong_shape(folder: Path) -> Path:
    np.save(folder / "s.npy", VALUES[:, :5])
    return folder / "s.npy"


def partitions(folder: Path) -> Path:
    name = "pairwise_scores_data_partition0_module_partition0.safetensors"
    save_file({"all_modules": TENSOR.clone()}, folder / name)
    return folder


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (harmful, r"more than tensors.*torch\.save\(scores"),
        (plain_pickle, r"more than tensors|cannot be read as a tensor"),
        (objects, r"array of numbers.*numpy\.save"),
        (several, r"holds a dict"),
        (sparse, r"holds a sparse tensor"),
        (without_numbers, r"holds a meta tensor"),
        (wrong_shape, r"shape \(3, 5\); expected \(3, 7\)"),
        (partitions, "aggregate_pairwise_scores"),
        (lambda folder: folder, r"no scores in this folder; expected TRAK's"),
        (lambda folder: trak(folder, ()), r"0 experiments.*found: begun, mine"),
        (lambda folder: trak(folder, ("mine", "begun")), r"2 experiments"),
        (lambda folder: folder / "s.npy", "no such file"),
    ],
)
def test_what_is_no_array_of_scores_is_refused_and_runs_nothing(
    write, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=message):
        read_array(write(tmp_path), 3, 7)
    assert "ran" not in capsys.readouterr().out


def test_files_of_torch_are_not_opened_by_a_version_that_they_can_have_run_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given, "SAFE_TORCH", "99")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    for write in (dattri, quanda):
        with pytest.raises(InputError, match=r"with PyTorch 99 or newer.*numpy\.save"):
            read_array(write(tmp_path), 3, 7)
