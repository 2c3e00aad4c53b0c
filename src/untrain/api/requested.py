"""A takedown request in Python: from a folder of pictures to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untrain.core.errors import InputError
from untrain.core.notebook import facts_html, line_html
from untrain.core.vocabulary import ATTRIBUTOR

if TYPE_CHECKING:
    import pandas as pd

    from untrain.catalogs.base import Catalog
    from untrain.takedowns.answer import Answered
    from untrain.takedowns.verify import Verified


class Takedown:
    """The answer to a takedown request; `untrain.takedown` returns it.

    Attributes
    ----------
    folder : Path
        ``report.html``, ``record.json`` and ``ids.txt`` lie there.
    record : dict
        Every number and decision, as ``record.json`` has them.
    """

    def __init__(self, answered: Answered) -> None:
        self.folder, self.record = answered.folder, answered.record

    @property
    def ids(self) -> list[str]:
        """The training images to take out."""
        return list(self.record["ids"])

    @property
    def matches(self) -> pd.DataFrame:
        """What was found: picture, image_id, part, kind, copy, score, caption, …"""
        import pandas as pd

        return pd.DataFrame(self.record["found"]["matches"])

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.folder / "report.html"

    @property
    def short(self) -> list[str]:
        """The answer in a few sentences."""
        from untrain.report.takedown import Told, in_short

        return [sentence.striptags() for sentence in in_short(Told(self.record))]

    def verify(
        self,
        request: str | Path | None = None,
        data: Catalog | None = None,
        model: str | Path | None = None,
    ) -> Verified:
        """Check the record again.

        Parameters
        ----------
        request : str or Path, optional
            The folder with the pictures that were sent.
        data : Catalog, optional
            The data as they are now.
        model : str or Path, optional
            The folder of the model that is in use; left out, the one in the run.
        """
        from untrain.takedowns.verify import verify

        places = (None if place is None else Path(place) for place in (request, model))
        asked, used = places
        return verify(self.folder, asked, data, used)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the answer in short, and where the report is."""
        short = "".join(line_html(sentence) for sentence in self.short)
        report = facts_html([("The whole answer", str(self.report))])
        return line_html(repr(self)) + short + report

    def __repr__(self) -> str:
        counts = self.record["counts"]
        return (
            f"Takedown('{self.record['reference']}'): {counts['found']} of {counts['pictures']} "
            f"pictures found, {counts['removed']} training images to take out"
        )


def takedown(
    request: str | Path,
    run: str | Path | Any | None = None,
    catalog: Catalog | None = None,
    *,
    out: str | Path = "takedowns",
    reference: str = "",
    copies: str | None = None,
    measure: str = "estimate",
    remove: str = "auto",
    budget: float = 0.05,
    minutes: float = 60.0,
    method: str = ATTRIBUTOR,
    calibration: str | Path | None = None,
    models: int | None = None,
    probes: int = 4,
    not_copies: Sequence[str] = (),
    also: Sequence[str] = (),
) -> Takedown:
    """Answer a takedown request: find the pictures, measure, take them out, verify, report.

    Parameters
    ----------
    request : str or Path
        Folder with the pictures that were sent, as files; ``request.yaml`` (from, received,
        reference, asks) or ``request.txt`` in it is the letter.
    run : Experiment, Result, str or Path
        A run, or an experiment, which is run first with the requested images kept out of the
        held-out part.
    catalog : Catalog
        Instead of a run: only search these images.
    out : str or Path
        With a catalogue, the folder for the answer; of a run it is its folder ``takedowns``.
    reference : str
        What the request is called; left out, as the letter or the folder says.
    copies : {'near', 'exact'}, optional
        What counts as a copy: edited ones too, or only equal files and pixels. Left out, as the
        run's setting ``removal.duplicates`` says; without a run, near.
    measure : {'estimate', 'trial', 'none'}
        How it is told what the images do to the model: from the model as it is, or by models
        trained with and without them.
    remove : str
        ``exact``, ``none``, the name of a method of unlearning, or ``auto``: exact where one
        training is expected to take at most ``minutes``.
    budget : float
        Of a method of unlearning: share of one training, above 0 and at most 1.
    minutes : float
    method : str
        The attributor of the estimate.
    calibration : str or Path, optional
        Of its scores; left out, fitted on the run's own trial where it is finished.
    models : int, optional
        Of the trial.
    probes : int
        Pictures drawn for the caption of each requested image.
    not_copies, also : sequence of str
        Ids of training images that somebody looked at: found or alike, but not theirs; theirs,
        but not counted.

    Returns
    -------
    Takedown

    Raises
    ------
    InputError
        No picture can be read, the data of the run have changed, an id is unknown, everything
        would be removed, or another request has this reference.
    """
    from untrain.takedowns.answer import answer_in_data, answer_of_run
    from untrain.takedowns.options import Options

    options = Options(
        reference=reference,
        copies=copies,
        measure=measure,
        remove=remove,
        budget=budget,
        minutes=minutes,
        method=method,
        calibration=Path(calibration) if calibration else None,
        models=models,
        probes=probes,
        not_copies=tuple(not_copies),
        also=tuple(also),
    )
    if (run is None) == (catalog is None):
        raise InputError("say once where to search: either a run or a catalogue")
    if catalog is not None:
        return Takedown(answer_in_data(Path(request), catalog, Path(out), options))
    return Takedown(answer_of_run(Path(request), _config(run), options))


def _config(run: Any) -> Any:
    """Return the settings of a run: of its folder, or of an experiment that is not run yet."""
    from untrain.runs.find import find_run
    from untrain.runs.inputs import run_config
    from untrain.settings.load import load_config

    config = getattr(run, "config", None)
    if config is None:
        place = Path(getattr(run, "folder", run))
        if not (place.is_file() and place.suffix in (".yaml", ".yml")):
            return run_config(find_run(place))
        config = load_config(place)
    folder = config.folder
    return run_config(folder) if (folder / "run.json").is_file() else config
