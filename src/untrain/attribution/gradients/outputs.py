"""What is differentiated: the loss, or another number that a model's predictions make.

Which number it is decides more than anything else about attribution by gradients. ``nll`` is the
loss itself; ``margin`` the log odds of each code (TRAK, Park et al. 2023, section 3.3); ``squared``
the mean square of all that is predicted (D-TRAK, Zheng et al. 2024, equation 8, where it is the
predicted noise; here the logits of tokens as well); ``mean`` their plain mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from untrain.core.errors import InputError
from untrain.core.registry import Registry
from untrain.generators.differentiable import Batch, differentiable, has_predictions, predictive
from untrain.generators.paired import widened
from untrain.generators.predictions import Prediction

Values = Callable[[object, Batch], torch.Tensor]


@dataclass(frozen=True)
class Output:
    """A number of each pair and of each query, with gradients.

    Attributes
    ----------
    name : str
    of_pairs, of_queries : callable
        (generator, batch) → (n,), of a ``training_batch`` and of a ``query_batch``.
    from_predictions : bool
        Whether the generator must show its predictions.
    """

    name: str
    of_pairs: Values
    of_queries: Values
    from_predictions: bool = True

    def missing(self, generator: object) -> str | None:
        """Return why a generator has no such output; None if it has."""
        if self.from_predictions and not has_predictions(generator):
            return (
                f"the output '{self.name}' is made of predictions, and the generator "
                f"{type(generator).__qualname__} has no pair_predictions and query_predictions"
            )
        return None


def _made_of(number: Callable[[Prediction], torch.Tensor]) -> tuple[Values, Values]:
    """Return how pairs and queries get a number that each measured head has."""

    def added(heads: Sequence[Prediction]) -> torch.Tensor:
        return torch.stack([number(head) for head in heads if head.measured]).sum(0)

    return (
        lambda generator, batch: added(predictive(generator).pair_predictions(batch)),
        lambda generator, batch: added(predictive(generator).query_predictions(batch)),
    )


def _squared(head: Prediction) -> torch.Tensor:
    """Return the mean square of what a head predicts, (n,)."""
    return widened(head.values).square().flatten(1).mean(1)


def _mean(head: Prediction) -> torch.Tensor:
    """Return the mean of what a head predicts, (n,)."""
    return widened(head.values).flatten(1).mean(1)


def _margin(head: Prediction) -> torch.Tensor:
    """Return the mean log odds of the codes, log p − log(1 − p), (n,)."""
    if not head.of_codes:
        raise InputError(
            "the output 'margin' is the log odds of codes, and this generator predicts numbers: "
            "use 'squared' or 'nll'"
        )
    logits = widened(head.values)
    own = logits.gather(-1, head.targets[..., None])
    others = logits.scatter(-1, head.targets[..., None], -torch.inf)
    return (own[..., 0] - others.logsumexp(-1)).flatten(1).mean(1)


NLL = Output(
    "nll",
    lambda generator, batch: differentiable(generator).pair_losses(batch),
    lambda generator, batch: differentiable(generator).measurements(batch),
    from_predictions=False,
)
MARGIN = Output("margin", *_made_of(_margin))
SQUARED = Output("squared", *_made_of(_squared))
MEAN = Output("mean", *_made_of(_mean))

OUTPUTS: Registry[Output] = Registry("output", {o.name: o for o in (NLL, MARGIN, SQUARED, MEAN)})
"""By name."""
