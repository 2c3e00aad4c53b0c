"""The contract of a generator: what untrain needs of a text-to-image model, and no more."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError
from untrain.core.files import fingerprint
from untrain.core.outside import read_bytes

if TYPE_CHECKING:  # importing it imports torch
    from untrain.core.hardware import Precision

Progress = Callable[[int], None]

SIMILARITY = "similarity"
"""The unit of a trial whose generator has no likelihood: pictures are compared instead."""


@dataclass(frozen=True)
class Generations:
    """Pictures drawn for prompts.

    Attributes
    ----------
    samples : ndarray, shape (n, …)
        What was sampled: integer tokens, or the floats of a latent or a picture. It is the query
        itself (a PNG encoded again gives others). A generator without likelihood may give the
        images again.
    images : ndarray of uint8, shape (n, height, width, 3)
        The samples as pictures.
    """

    samples: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Noise:
    """The noise that one picture is drawn with.

    Attributes
    ----------
    kind : {'gumbel', 'gaussian'}
        Standard Gumbel, for tokens drawn by ``argmax(logits + noise)``, or standard normal.
    shape : tuple of int
        Of one picture, such as (positions, codes) or (channels, height, width).
    """

    kind: Literal["gumbel", "gaussian"]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in ("gumbel", "gaussian"):
            raise InputError(f"noise is gumbel or gaussian, found '{self.kind}'")
        if self.kind == "gumbel" and len(self.shape) != 2:
            raise InputError(f"Gumbel noise is (positions, codes), found the shape {self.shape}")


@dataclass(frozen=True)
class Cost:
    """What training one model takes on this machine.

    Attributes
    ----------
    seconds : float
        On one thread.
    parameters : int
        That a saved model has.
    words : str
        The model, for people.
    bytes : int or None
        Memory of one training: weights, gradients, optimiser, activations; None if unknown.
    """

    seconds: float
    parameters: int
    words: str
    bytes: int | None = None


class Generator(ABC):
    """A text-to-image model that can be trained again without some of its data.

    A class of your own must have ``image_size``, ``noise``, `fit`, `generate`, `save` and `load`;
    the rest has defaults. `untrain.testing.check_generator` says whether it keeps the contract.
    Options of ``__init__`` are kept under their own names (``self.width = width``), from which the
    model is known again; one called ``seed`` gets the experiment's seed, if no other is given.

    Attributes
    ----------
    image_size : tuple of int
        (height, width) in pixels of what it draws.
    noise : Noise
        What one picture takes.
    paired : bool
        Whether `fit` is paired. Where it is not, every model of a trial gets a seed of its own and
        results say so.
    unit : str
        Of minus `log_likelihood`, whose mean over its terms is the measure of the trial. Of
        ``bits/…`` (such as ``bits/token``) the terms are natural logarithms of probabilities and
        are shown in bits; of anything else, such as ``loss``, as they are.
    margin : float or None
        Effects within ± this, in ``unit``, count as none, unless the experiment file says
        otherwise; None is 0.1 of ``bits/…`` and 0.02 of similarity, and nothing of other units.
    frozen : str
        A sentence for the report on parts that all models share and that saw the removed images.
    reads_pictures : bool
        Whether `fit` opens images; not if `prepare` keeps all it needs. The catalogue that it gets
        then has only ids, captions and hashes, and can be sent to other machines.
    precision : {'float32', 'bfloat16'} or None
        What training computes in, where the class has an option ``precision`` of these values
        (the setting ``generator.precision``); None where it decides that for itself.
    version : str
        Change it with whatever changes the models. Without one the source files of the class (not
        those that they import) tell: any edit trains models anew.
    stack_size, processes : int
        Above 1, models are trained several in one pass by ``fit_stack(catalog, removed, seed,
        progress)``, a sequence of removals → list of generators, and model A in several processes
        by ``fit_across(catalog, removed, seed, progress, processes)``.
    losses : list of float
        Mean training loss of each epoch of the last `fit`, for figures.
    learning_rate : float
        Largest rate of its own training; methods of unlearning take theirs in units of it.
    query_passes : int
        How many pairs' worth of passes it takes to measure a query, where that is not one.

    Notes
    -----
    Optional methods: ``log_likelihood(samples, prompts)`` → float (n, terms), larger is likelier:
    log p of each token in nats, or minus a loss at fixed times and noise. Without it the measure is
    how similar pictures are that other models draw with the same noise. A generator may also keep
    the differentiable contract, `untrain.generators.differentiable.Differentiable`.
    """

    image_size: tuple[int, int]
    noise: Noise
    paired: bool = True
    unit: str = "loss"
    margin: float | None = None
    frozen: str = ""
    reads_pictures: bool = True
    precision: Precision | None = None
    version: ClassVar[str] = ""
    losses: list[float] = []  # noqa: RUF012 - never changed; `fit` assigns another
    learning_rate: float = 1e-3
    query_passes: int = 1

    @abstractmethod
    def fit(
        self, catalog: Catalog, removed: Collection[str], seed: int, progress: Progress
    ) -> None:
        """Train from scratch on ``catalog`` without the ids in ``removed``.

        Paired: two calls with the same seed see the same initial weights and the same batches; a
        removed pair keeps its place in its batch and its loss counts as zero, the mean being over
        the full batch. With nothing removed the result is the same to the bit. An unknown id is an
        `InputError`; `kept_rows` does that. ``progress(n)`` is told of every n pairs passed.
        """

    @abstractmethod
    def generate(self, prompts: Sequence[str], noise: np.ndarray) -> Generations:
        """Draw one picture a prompt with the given noise, float32 (n, *noise.shape).

        Picture i depends only on prompt i and noise i, and not on its batch, up to rounding.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `fit` learnt into ``folder``, which is there and empty; never pickle."""

    @abstractmethod
    def load(self, folder: Path) -> Self:
        """Read what `save` wrote into this prepared generator, and return it."""

    def prepare(self, catalog: Catalog, folder: Path, progress: Progress) -> None:  # noqa: B027
        """Fit, once a run, the frozen parts that all models share, and keep them in ``folder``.

        Called again, in this process or another, it reads what ``folder`` holds. Write that with
        `untrain.core.atomic.atomic_folder`, so that it is never half-written. By default there is
        nothing to do.
        """

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Return uint8 pictures (n, height, width, 3) as `log_likelihood` takes them, (n, …)."""
        return images

    def decode(self, samples: np.ndarray) -> np.ndarray:
        """Return the pictures of samples, uint8 (n, height, width, 3)."""
        return samples

    def recipe(self) -> dict[str, Any]:
        """Return what decides the models beside data and seed, as JSON can hold it."""
        kind = type(self)
        module = kind.__module__.rpartition(".")[2]  # wherever it lies
        version = self.version or _source(kind)
        return {"class": f"{module}:{kind.__qualname__}", "version": version, **_options(self)}

    def shared_key(self, catalog: Catalog) -> str:
        """Return the fingerprint of the frozen parts that `prepare` would fit on ``catalog``."""
        return fingerprint("generator-1", catalog.fingerprint, self.recipe())

    def fingerprint(self, catalog: Catalog) -> str:
        """Return what models are known by, beside seed, removed ids and machine."""
        return self.shared_key(catalog)

    def prepare_work(self, catalog: Catalog) -> int:
        """Return how much progress `prepare` tells of, for bars."""
        return 0

    def fit_work(self, catalog: Catalog) -> int:
        """Return how much progress `fit` tells of, for bars: ``epochs``, if it has any, × pairs."""
        return int(getattr(self, "epochs", 1)) * len(catalog)

    def cost(self, catalog: Catalog) -> Cost | None:
        """Return what training a model takes here, for `untrain plan`; None if it is not known."""
        return None

    def prepare_seconds(self, catalog: Catalog) -> float:
        """Return how long `prepare` takes here with all threads, for `untrain plan`."""
        return 0.0

    @property
    def stack_size(self) -> int:
        """How many paired models to train in one pass here."""
        return 1

    @property
    def processes(self) -> int:
        """How many processes, each on a GPU, a model should have that is trained by itself."""
        return 1


def has_likelihood(generator: Generator) -> bool:
    """Tell whether a generator says how likely a picture is."""
    return callable(getattr(generator, "log_likelihood", None))


def unit_of(generator: Generator) -> str:
    """Return the unit of the primary measure of a trial with this generator."""
    return generator.unit if has_likelihood(generator) else SIMILARITY


def kept_rows(catalog: Catalog, removed: Collection[str]) -> np.ndarray:
    """Return which pairs are left without ``removed``, bool (n,) in the catalogue's order.

    Raises
    ------
    InputError
        An id is not in the catalogue.

    Examples
    --------
    >>> from untrain.catalogs import rendered
    >>> catalog = rendered(families=1, size_of_family=3, resolution=16)
    >>> kept_rows(catalog, catalog.ids[:1]).tolist()
    [False, True, True]
    """
    kept = np.ones(len(catalog), bool)
    kept[rows_of(catalog, removed, "remove")] = False
    return kept


def rows_of(catalog: Catalog, ids: Collection[str], doing: str = "find") -> np.ndarray:
    """Return the positions of ids in the catalogue, in their order, int64 (n,).

    Raises
    ------
    InputError
        An id is not in the catalogue; ``doing`` is the verb of its message.
    """
    unknown = set(ids) - catalog.index.keys()
    if unknown:
        raise InputError(f"cannot {doing} '{min(unknown)}': the catalogue has no such image")
    return np.array([catalog.index[image_id] for image_id in ids], np.int64)


def _options(generator: Generator) -> dict[str, Any]:
    """Return the options that a generator was made with, kept under their own names."""
    parameters = inspect.signature(type(generator)).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    options = {}
    for name in (p.name for p in parameters if p.kind not in variable):
        if not hasattr(generator, name):
            raise InputError(
                f"{type(generator).__qualname__} does not keep its option '{name}': write "
                f"self.{name} = {name} in __init__, so that its models can be known again"
            )
        options[name] = getattr(generator, name)
    return {"options": options}


def _source(kind: type) -> str:
    """Return the fingerprint of the files that define a class and its parents outside untrain."""
    own = [k for k in kind.__mro__ if k.__module__.partition(".")[0] not in ("builtins", "abc")]
    files = []
    for each in own:
        if each.__module__.partition(".")[0] == "untrain" and each is not kind:
            continue
        try:
            found = inspect.getsourcefile(each)
        except (OSError, TypeError):
            found = None
        if found is None or not Path(found).is_file():
            raise InputError(
                f"the class {each.__qualname__} has no source file, by which its models could be "
                f"known again: give {kind.__qualname__} a `version`, and change it with the code"
            )
        files.append(read_bytes(found, "TEXT"))
    return fingerprint(*files)
