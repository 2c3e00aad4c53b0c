"""Where models run, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch


@cache
def device() -> torch.device:
    """Return the GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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


def precision() -> str:
    """Return the name of the dtype that training computes in."""
    return "bfloat16" if has_fast_bfloat16() else "float32"
