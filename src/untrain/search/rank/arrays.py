"""Scores as arrays, in the files that other attribution libraries write.

| library | file | array |
|---|---|---|
| TRAK | ``scores/<experiment>.mmap`` of its ``save_dir``, NumPy's format | (images, queries) |
| dattri | ``torch.save`` of what ``attribute`` returns | (images, queries) |
| kronfluence | ``scores_<name>/pairwise_scores.safetensors`` | (queries, images) |
| quanda | a folder of ``0.pt``, ``1.pt``, …, a batch of explanations each | (queries, images) |
| NumPy | ``.npy`` | (queries, images) |

Read in the sources of TRAK (``trak/savers.py``), dattri (``dattri/metric/metrics.py``), kronfluence
(``kronfluence/score/pairwise.py``) and quanda (``quanda/utils/cache.py``). Nothing is unpickled:
``.pt`` files are read as tensors (``weights_only``), ``.npy`` and ``.mmap`` without pickle.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from untrain.core import given
from untrain.core.errors import InputError
from untrain.core.given import read_pickled_tensors
from untrain.core.outside import parse_json, read_text

SUFFIXES = (".npy", ".mmap", ".pt", ".pth", ".safetensors")
"""Of files that hold arrays; others are tables."""
ALL_MODULES = "all_modules"
"""kronfluence's name for scores summed over layers."""
PAIRWISE = "pairwise_scores.safetensors"
PARTITION = re.compile(r"pairwise_scores_data_partition\d+_module_partition\d+\.safetensors")
KNOWN = (
    "expected TRAK's save_dir (experiments.json and scores/), a folder of kronfluence "
    f"({PAIRWISE}) or one of quanda (0.pt, 1.pt, …)"
)


def is_array(path: Path) -> bool:
    """Tell whether a path is what `read_array` reads, by its name: a folder, or one of `SUFFIXES`.

    Examples
    --------
    >>> is_array(Path("scores.npy")), is_array(Path("scores.csv"))
    (True, False)
    """
    return path.suffix in SUFFIXES or path.is_dir()


def read_array(path: Path, prompts: int, images: int | None) -> np.ndarray:
    """Read scores that another library wrote.

    Parameters
    ----------
    path : Path
        A file, or a folder of TRAK, kronfluence or quanda.
    prompts, images : int
        How many there are; images may be unknown (None). Rows (or columns, see above) are prompts,
        or equally many pictures of each prompt, one prompt after another, whose mean counts;
        images are in the order of the catalogue. An array that fits only the other way round is
        turned.

    Returns
    -------
    ndarray of float64, shape (prompts, images)
        NaN where the file has it.

    Raises
    ------
    InputError
        The file is none of these, holds more than arrays, or is of another shape.
    """
    values, library, images_first = _folder(path) if path.is_dir() else _file(path)
    found = np.asarray(values)
    if found.dtype.kind not in "fiu":
        raise InputError(f"{path}: holds {found.dtype}; expected numbers")
    if found.ndim == 2:
        for rows in (found.T, found) if images_first else (found, found.T):
            fits = images is None or rows.shape[1] == images
            if fits and rows.size and len(rows) % prompts == 0:
                # Half-precision scores are averaged in double precision.
                by_prompt = rows.astype(np.float64).reshape(prompts, -1, rows.shape[1])
                mean: np.ndarray = by_prompt.mean(axis=1)
                return mean
    many = "images" if images is None else str(images)
    shape = f"({many}, {prompts})" if images_first else f"({prompts}, {many})"
    raise InputError(
        f"{path}: scores of the shape {found.shape}; expected {shape}, as {library} writes them: "
        f"{prompts} prompts (or equally many pictures of each, one prompt after another) and "
        "training images in the order of the catalogue"
    )


def _file(path: Path) -> tuple[np.ndarray, str, bool]:
    """Return the array of a file, whose it is, and whether images come first."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected scores")
    if path.suffix in (".pt", ".pth"):
        return read_torch(path), "dattri", True
    if path.suffix == ".safetensors":
        return _safetensors(path), "kronfluence", False
    array = _numpy(path)
    return (array, "TRAK", True) if path.suffix == ".mmap" else (array, "NumPy", False)


def _folder(path: Path) -> tuple[np.ndarray, str, bool]:
    if (path / "experiments.json").is_file():
        return _numpy(_experiment(path)), "TRAK", True
    if (path / PAIRWISE).is_file():
        return _safetensors(path / PAIRWISE), "kronfluence", False
    if batches := sorted(
        (file for file in path.glob("*.pt") if file.stem.isdigit()), key=lambda f: int(f.stem)
    ):
        parts = [np.atleast_2d(read_torch(file)) for file in batches]
        if len({part.shape[1:] for part in parts}) > 1:
            raise InputError(f"{path}: batches of explanations of different numbers of images")
        return np.concatenate(parts), "quanda", False
    if any(PARTITION.fullmatch(file.name) for file in path.iterdir()):
        raise InputError(
            f"{path}: holds partitions of kronfluence's scores: put them together with "
            "analyzer.aggregate_pairwise_scores(name) first"
        )
    raise InputError(f"{path}: no scores in this folder; {KNOWN}")


def _experiment(path: Path) -> Path:
    """Return the file of the one finished experiment in a ``save_dir`` of TRAK."""
    try:
        records = parse_json(read_text(path / "experiments.json", encoding="utf-8"))
        done = [name for name, record in records.items() if record.get("scores_finalized")]
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path / 'experiments.json'}: cannot be read ({error})") from None
    if len(done) != 1:
        names = ", ".join(sorted(records)) or "none"
        raise InputError(
            f"{path}: {len(done)} experiments of TRAK with final scores (found: {names}); name one "
            f"file: {path / 'scores'}/EXPERIMENT.mmap"
        )
    # Not the path in the record, which is of the machine that wrote it.
    return path / "scores" / f"{done[0]}.mmap"


def _numpy(path: Path) -> np.ndarray:
    try:
        return given.read_array(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as an array of numbers in NumPy's format ({error.strerror}); "
            "write it with numpy.save(path, scores)"
        ) from None


def _safetensors(path: Path) -> np.ndarray:
    if PARTITION.fullmatch(path.name):
        raise InputError(
            f"{path}: is one partition of kronfluence's scores: put them together with "
            "analyzer.aggregate_pairwise_scores(name) first"
        )
    try:
        tensors = given.read_tensors(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error.strerror})") from None
    if ALL_MODULES in tensors:
        return _array(tensors[ALL_MODULES])
    if path.name == PAIRWISE or len(tensors) == 1:  # scores of each module: their sum is asked for
        return _sum(path, [_array(tensor) for tensor in tensors.values()])
    raise InputError(
        f"{path}: has the tensors {', '.join(sorted(tensors)[:5])}; expected one, or {ALL_MODULES}"
    )


def _sum(path: Path, parts: Iterable[np.ndarray]) -> np.ndarray:
    found = list(parts)
    if not found or len({part.shape for part in found}) > 1:
        raise InputError(f"{path}: scores of modules that are not of one shape, or none")
    return np.asarray(np.sum(found, axis=0, dtype=np.float64))


def read_torch(path: Path) -> np.ndarray:
    """Read the one tensor that ``torch.save`` wrote.

    Raises
    ------
    InputError
        There is no such file, or it holds anything else; what would run code is not read.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    remedy = (
        "save the tensor only, torch.save(scores.detach().cpu(), 'scores.pt'), or as "
        "numpy.save('scores.npy', scores.T)"
    )
    try:
        found = read_pickled_tensors(path)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: holds more than tensors, and reading it could run a stranger's code: {remedy}"
        ) from None
    except OSError as error:
        fault = error.strerror
        raise InputError(f"{path}: cannot be read as a tensor ({fault}): {remedy}") from None
    import torch

    if isinstance(found, dict) and len(found) == 1:
        (found,) = found.values()
    if not isinstance(found, torch.Tensor):
        raise InputError(f"{path}: holds a {type(found).__name__}; {remedy}")
    if found.layout is not torch.strided or found.is_quantized or found.is_meta:
        kind = "meta" if found.is_meta else "quantized" if found.is_quantized else "sparse"
        raise InputError(f"{path}: holds a {kind} tensor; save it with all its numbers: {remedy}")
    return _array(found)


def _array(tensor: object) -> np.ndarray:
    """Return a tensor as NumPy has it, which knows no bfloat16."""
    import torch

    assert isinstance(tensor, torch.Tensor)
    plain = tensor.detach()
    return (plain.float() if plain.is_floating_point() else plain).numpy()
