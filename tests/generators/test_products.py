"""The quicker way of a training computes what torch does, up to rounding, and leaves no trace."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from untrain.generators import products
from untrain.generators.products import SquaredReLU, quick_layers


def grads(model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad(set_to_none=True)
    x.grad = None
    y = model(x)
    (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    found = [p.grad for p in model.parameters() if p.grad is not None]
    return [y.detach(), *found, *([x.grad] if x.grad is not None else [])]


@pytest.mark.parametrize(("inside", "outside"), [(7, 20), (20, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_and_its_gradients_are_those_of_torch(
    inside: int, outside: int, bias: bool
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(inside, outside, bias=bias), SquaredReLU())
    x = torch.randn(5, 6, 2 * inside, requires_grad=True)
    for part in (x, x[..., ::2], x[:, 1:, :inside]):
        leaf = part.detach()[..., :inside].requires_grad_()  # strides stay
        expected = grads(model, leaf)
        with quick_layers(model):
            found = grads(model, leaf)
        assert len(found) == len(expected) == 3 + bias
        for a, b in zip(found, expected, strict=True):
            assert a.stride() == b.stride()
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_the_squared_relu_is_the_same_to_the_bit() -> None:
    x = torch.randn(64, 33, requires_grad=True)
    model = SquaredReLU()
    expected = grads(model, x)
    with quick_layers(model):
        found = grads(model, x)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_frozen_weights_have_no_gradient() -> None:
    model = nn.Linear(3, 4).requires_grad_(False)
    x = torch.randn(2, 3, requires_grad=True)
    with quick_layers(model):
        assert len(grads(model, x)) == 2
    assert model.weight.grad is None


def test_equal_calls_give_equal_bits() -> None:
    model, x = nn.Linear(96, 384), torch.randn(500, 96)
    with quick_layers(model):
        first, second = grads(model, x), grads(model, x)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_layers_are_as_before_after_the_block_even_if_it_fails() -> None:
    model = nn.Sequential(nn.Linear(2, 2), SquaredReLU())
    with pytest.raises(RuntimeError), quick_layers(model):
        assert "forward" in vars(model[0])
        raise RuntimeError
    assert not any("forward" in vars(layer) for layer in model.modules())


def test_other_precisions_and_kinds_of_layers_are_left_alone() -> None:
    class Own(nn.Linear):
        """A layer of a user's."""

    for layer in (nn.Linear(2, 2).double(), Own(2, 2)):
        with quick_layers(layer):
            assert "forward" not in vars(layer)
    model = nn.Linear(8, 8)
    with quick_layers(model), torch.autocast("cpu", torch.bfloat16):
        assert model(torch.randn(4, 8)).dtype == torch.bfloat16
    with quick_layers(model):
        assert model(torch.randn(8)).shape == (8,)
        assert model(torch.randn(0, 8)).shape == (0, 8)


def test_products_get_rows_that_lie_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of others, as in the gradient of half of an output, oneDNN is a thousand times slower."""
    seen = []
    plain = products._product

    def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        seen.extend((x, weight))
        return plain(x, weight, bias)

    monkeypatch.setattr(products, "_product", product)
    layer, x = nn.Linear(8, 16), torch.randn(4, 5, 8, requires_grad=True)
    with quick_layers(layer):
        halves = layer(x).chunk(2, -1)
        torch.autograd.grad(halves[0].square().sum() + halves[1].sum(), [x, layer.weight])
        y = products._Linear.apply(x, layer.weight, layer.bias)
        gradient = torch.randn(4, 5, 32)[..., :16]
        torch.autograd.grad(y, [x, layer.weight], gradient)
    assert seen or not products._fits(layer)
    assert all(each.is_contiguous() or each.t().is_contiguous() for each in seen if each.ndim == 2)
