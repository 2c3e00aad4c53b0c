"""Every back end of attention against float64, under the mask that training uses."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from untrain.core.hardware import deterministic, device
from untrain.generators.dalle import transformer
from untrain.generators.dalle.presets import preset_of
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.dalle.transformer import Transformer, _attend

BOUNDS = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
"""TF32 in the place of float32 would be above."""
BACKENDS = {
    "math": SDPBackend.MATH,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
}
pytestmark = pytest.mark.usefixtures("where")
kinds = pytest.mark.parametrize("kind", BOUNDS, ids=str)


def inputs(length: int = 75) -> list[torch.Tensor]:
    """Return queries, keys, values and a gradient, float64 (2, 3, length, 64), on the CPU."""
    draw = torch.Generator().manual_seed(0)
    shape = 2, 3, length, 64
    return [torch.randn(shape, generator=draw, dtype=torch.float64) for _ in range(4)]


def mask_of(length: int) -> torch.Tensor:
    """Return the mask of two captions, one of them padded, bool (2, 1, length, length)."""
    preset = preset_of("micro")
    text = torch.ones(2, length - preset.positions + 1, dtype=torch.int64)
    text[1, :5] = PAD
    return Transformer(preset, 4)._mask(text, preset.positions - 1)


def results(
    attend: object, tensors: list[torch.Tensor], mask: torch.Tensor | None, kind: torch.dtype,
    where: torch.device,
) -> list[torch.Tensor]:  # fmt: skip
    """Return the output and three gradients, float64 on the CPU."""
    q, k, v, gradient = (t.to(where, kind) for t in tensors)
    leaves = [t.requires_grad_() for t in (q, k, v)]
    with deterministic():
        out = attend(*leaves, None if mask is None else mask.to(where))  # type: ignore[operator]
        found = torch.autograd.grad(out, leaves, gradient)
    return [each.detach().double().cpu() for each in (out, *found)]


def check(found: list[torch.Tensor], exact: list[torch.Tensor], bound: float) -> None:
    for mine, other in zip(found, exact, strict=True):
        assert float((mine - other).norm() / other.norm()) < bound


def plain(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@kinds
@pytest.mark.parametrize("name", BACKENDS)
def test_back_ends_agree_with_float64(name: str, kind: torch.dtype) -> None:
    mask = None if name == "flash" else mask_of(75)  # flash attention takes none on a GPU
    exact = results(plain, inputs(), mask, torch.float64, torch.device("cpu"))
    try:
        with sdpa_kernel(BACKENDS[name]):
            found = results(plain, inputs(), mask, kind, device())
            again = results(plain, inputs(), mask, kind, device())
    except RuntimeError as error:
        if name == "cudnn" or re.search("No (available kernel|viable backend)", str(error)):
            pytest.skip(f"{name} does not take this here: {str(error).splitlines()[0]}")
        raise
    check(found, exact, BOUNDS[kind])
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


@kinds
def test_attention_in_parts_of_a_long_sequence(
    kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformer, "CHUNK", 32)
    mask = mask_of(75)
    exact = results(plain, inputs(), mask, torch.float64, torch.device("cpu"))
    check(results(_attend, inputs(), mask, kind, device()), exact, BOUNDS[kind])
