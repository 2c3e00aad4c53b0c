"""Where models run, and in which precision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch


@cache
def device() -> torch.device:
    """Return the GPU when there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for `deterministic`, beforehand
    return torch.device("cuda")


@cache
def has_fast_bfloat16() -> bool:
    """Tell whether bfloat16 is computed in hardware.

    A CPU without AVX-512-BF16 or AMX emulates it, at a hundredth of the speed of float32.
    """
    if device().type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def autocast() -> AbstractContextManager[object]:
    """Compute in bfloat16 where the hardware has it, else in float32."""
    if has_fast_bfloat16():
        return torch.autocast(device().type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def deterministic() -> Iterator[None]:
    """Have equal calls give equal bits: on a GPU, attention's usual gradients do not."""
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


def precision() -> str:
    """Return the name of the dtype that training computes in."""
    return "bfloat16" if has_fast_bfloat16() else "float32"
