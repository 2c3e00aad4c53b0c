"""Methods of unlearning by name."""

from __future__ import annotations

from collections.abc import Collection

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.registry import Registry
from untrain.generators.base import Generator, Progress, kept_rows
from untrain.unlearning.base import Method

METHODS: Registry[Method] = Registry(
    "unlearning method", {"nothing": "untrain.unlearning.nothing:nothing"}
)


def unlearn(
    method: str,
    generator: Generator,
    catalog: Catalog,
    forget: Collection[str],
    budget: float,
    seed: int,
    progress: Progress,
) -> Generator:
    """Check what `Method` asks for, then run a method by its name.

    Raises
    ------
    InputError
        Unknown method ("did you mean") or id; a forget set of nothing or of everything; a budget
        that is not above 0 and at most 1.
    """
    METHODS.check(method)
    if not 0 < budget <= 1:
        raise InputError(
            f"the budget is a share of one training, above 0 and at most 1, found {budget:g}"
        )
    if not forget:
        raise InputError("the forget set is empty: name the images to forget")
    if not kept_rows(catalog, forget).any():
        raise InputError(
            f"the forget set holds all {len(catalog)} images: leave some to be retained"
        )
    return METHODS[method](generator, catalog, forget, budget, seed, progress)
