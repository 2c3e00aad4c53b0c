"""What is to be done about a request: the choices of a takedown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from untrain.core.errors import InputError
from untrain.core.vocabulary import ATTRIBUTOR
from untrain.takedowns import removing
from untrain.takedowns.finding import COPIES

ESTIMATE, TRIAL, NOTHING = "estimate", "trial", "none"
MEASURES = (ESTIMATE, TRIAL, NOTHING)


@dataclass(frozen=True)
class Options:
    """What is to be done about a request.

    Attributes
    ----------
    reference : str
        What the request is called; its letter's or its folder's name if empty.
    copies : {'near', 'exact'}, optional
        What counts as a copy: edited ones too, or only equal files and pixels; as the run's
        ``removal.duplicates`` has it if left out, and near without a run.
    measure : {'estimate', 'trial', 'none'}
        How the influence of the images is told: from the model as it is, or by models trained
        without them.
    remove : str
        ``exact`` (train again), ``none``, the name of a method of unlearning, or ``auto``: exact
        where one training is expected to take at most ``minutes``.
    budget : float
        Of a method of unlearning: share of one training, above 0 and at most 1.
    minutes : float
        The longest training that ``auto`` begins.
    method : str
        The attributor of the estimate.
    calibration : Path, optional
        Of its scores.
    models : int, optional
        Of the trial.
    probes : int
        Pictures drawn for the caption of each requested image; 0 for none.
    not_copies, also : tuple of str
        Ids that somebody looked at: found or alike, but not theirs; theirs, but not counted.
    """

    reference: str = ""
    copies: str | None = None
    measure: str = ESTIMATE
    remove: str = removing.AUTO
    budget: float = 0.05
    minutes: float = 60.0
    method: str = ATTRIBUTOR
    calibration: Path | None = None
    models: int | None = None
    probes: int = 4
    not_copies: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self) | {"calibration": str(self.calibration) if self.calibration else None}

    def check(self) -> None:
        """Raise `InputError` if an option cannot be."""
        if self.measure not in MEASURES:
            raise InputError(f"measure is '{self.measure}'; expected {', '.join(MEASURES)}")
        if self.copies not in (None, *COPIES):
            raise InputError(f"copies is '{self.copies}'; expected {' or '.join(COPIES)}")
        if self.probes < 0:
            raise InputError(f"probes is {self.probes}; expected 0 or more pictures a caption")
        removing.check_removal(self.remove, self.budget)
