"""SISA: a shard of the data, trained from scratch (Bourtoule et al. 2021, *Machine unlearning*).

Who trains an ensemble, each member on a shard of its own, can forget exactly by training again only
the members that held the images. That is another recipe: it has to be chosen before, and each
member knows no more than its shard. Here is one member of as many shards as the budget asks for,
drawn among the retained pairs. It knows nothing of the forget set; what it is held against is the
retraining of the *whole* model, and how far it falls short is the price of the recipe.
"""

from __future__ import annotations

from dataclasses import dataclass

from untrain.core.files import rng
from untrain.generators.base import Generator
from untrain.unlearning.base import Task, copied


@dataclass(frozen=True, kw_only=True)
class Sisa:
    """SISA (another recipe): a new model of a random shard of what is retained."""

    def __call__(self, task: Task) -> Generator:
        """Return a generator trained from scratch on as many pairs as the budget covers."""
        catalog = task.catalog
        passes = max(1, round(task.meter.training / len(catalog)))  # epochs
        task.meter.need(passes, "a shard of one pair")
        count = min(int(task.meter.left / passes), len(task.retained))
        order = rng("unlearning", "sisa", task.seed).permutation(len(task.retained))
        shard = {task.retained[row] for row in order[:count]}
        task.meter.pay(passes * count)
        generator = copied(task.generator)
        generator.fit(
            catalog, [each for each in catalog.ids if each not in shard], task.seed, lambda n: None
        )
        return generator
