"""Where models run, and in which precision they can compute there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Literal, get_args

import torch

from untrain.core.errors import InputError

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

VARIABLE = "UNTRAIN_FAST_BFLOAT16"
"""Environment variable for tests: 0 or 1 replaces what the hardware says of itself."""
STEPS = "UNTRAIN_STEPS"
"""Environment variable: on a GPU, ``graph`` launches a training step at once
(`untrain.generators.steps`) and ``eager``, the default, kernel by kernel."""


@cache
def device() -> torch.device:
    """Return the GPU when there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for `deterministic`, beforehand
    # By default convolutions round float32 to TF32's ten bits; here float32 means float32.
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")


def has_fast_bfloat16() -> bool:
    """Tell whether bfloat16 is computed in hardware.

    A CPU without AVX-512-BF16 or AMX emulates it, at a hundredth of the speed of float32.
    """
    forced = os.environ.get(VARIABLE)
    if forced:
        return forced != "0"
    if device().type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # since PyTorch 2.6
    return any(getattr(torch.cpu, name, bool)() for name in asked)


def steps_in_graphs() -> bool:
    """Tell whether training steps are recorded as CUDA graphs: on a GPU, unless told otherwise.

    They train the same bits (seen on an H200: docs/results/gpu.md).

    Raises
    ------
    InputError
        The environment variable has another value than ``eager`` or ``graph``.
    """
    asked = os.environ.get(STEPS, "graph")
    if asked not in ("eager", "graph"):
        raise InputError(f"{STEPS} must be eager or graph, found {asked!r}")
    return asked == "graph" and device().type == "cuda"


def default_precision() -> Precision:
    """Return what models compute in unless the settings say otherwise.

    On a CPU it is float32, whatever the processor can do, so that figures are the same on all of
    them up to rounding. On a GPU that has it, bfloat16: on an H200 the largest stacks, in which
    banks are trained, were 1.4 to 1.5 times as fast and took less memory. A small model by itself
    gained nothing (docs/results/gpu.md).
    """
    return "bfloat16" if device().type == "cuda" and has_fast_bfloat16() else "float32"


def check_precision(name: str) -> Precision:
    """Return ``name`` if it is a precision.

    Raises
    ------
    InputError
        It is not.
    """
    for known in PRECISIONS:
        if name == known:
            return known
    raise InputError(f"precision must be {' or '.join(PRECISIONS)}, found {name!r}")


def autocast(precision: Precision) -> AbstractContextManager[object]:
    """Compute matrix products and convolutions in ``precision``; weights stay in float32."""
    if precision == "bfloat16":
        return torch.autocast(device().type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def deterministic() -> Iterator[None]:
    """Have equal calls give equal bits, which attention and convolutions on a GPU do not."""
    if device().type != "cuda":
        yield
        return
    settings: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    settings.fill_uninitialized_memory = False  # a kernel more for each tensor, and no use here
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        settings.fill_uninitialized_memory = before[1]


def platform(precision: str | None) -> dict[str, str]:
    """Return what decides the bits of a model beside recipe and threads, for fingerprints.

    A generator whose ``precision`` is None decides that for itself, in its recipe.
    """
    where = {"torch": torch.__version__, "device": device().type}
    return {**where, "precision": precision} if precision else where
