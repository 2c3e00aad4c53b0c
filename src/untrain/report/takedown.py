"""The answer to a takedown request in sentences, for somebody who is not an engineer.

Every number comes out of the record of the takedown and says from where (`Told.n`), so that
`untrain verify` can hold the page against the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from untrain.core.vocabulary import Verdict

FORMATS = ("whole", "two", "three", "percent", "p")

KINDS = {
    "identical": "the same file",
    "same_pixels": "the same picture in another file",
    "reencoded": "saved again",
    "resized": "resized",
    "cropped": "cropped",
    "padded": "with a border",
    "mirrored": "mirrored",
    "rotated": "turned",
    "stretched": "stretched",
    "recoloured": "recoloured",
    "overlaid": "with something laid over it",
    "blurred": "blurred",
}
PARTS = {
    "training": "the model was trained on it",
    "held-out": "set aside before the training: the model never saw it",
    "unused": "in the data, but not used for this model",
}
VERDICTS = {
    Verdict.ATTRIBUTABLE.value: "yes",
    Verdict.NOT_ATTRIBUTABLE.value: "no",
    Verdict.UNDECIDED.value: "cannot be told",
}


def shown(value: Any, how: str) -> str:
    """Return a number as the page shows it.

    Examples
    --------
    >>> shown(1234, "whole"), shown(0.1234, "three"), shown(0.5, "percent"), shown(0.0004, "p")
    ('1,234', '0.123', '50 %', 'below 0.001')
    """
    if value is None:
        return "unknown"
    if how == "whole":
        return f"{value:,.0f}"
    if how == "percent":
        return f"{round(100 * value, 1):g} %"
    if how == "p":
        return "below 0.001" if value < 0.001 else f"{value:.3f}"
    digits = 2 if how == "two" else 3
    return f"{round(value, digits) + 0.0:.{digits}f}"  # never minus zero


def value_at(record: Any, path: str) -> Any:
    """Return the value at a path such as ``counts.found`` or ``checks.0.removed``.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError
        The record has no such place.
    """
    for part in path.split("."):
        record = record[int(part)] if isinstance(record, list) else record[part]
    return record


class Told:
    """A record, and the numbers of it as a page shows them."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record

    def n(self, path: str, how: str = "whole") -> Markup:
        """Return a number of the record, marked with where it stands there."""
        value = value_at(self.record, path)
        return Markup('<data value="{}" data-of="{}" data-as="{}">{}</data>').format(
            "" if value is None else repr(value), path, how, shown(value, how)
        )

    def count(self, path: str, one: str, several: str | None = None) -> Markup:
        """Return a number with its noun: ``1 picture``, ``3 pictures``."""
        value = value_at(self.record, path)
        return self.n(path) + " " + (one if value == 1 else several or f"{one}s")


def in_short(told: Told) -> list[Markup]:
    """Return the answer in a few sentences."""
    return [
        *_found_in_short(told),
        *_drawn_in_short(told),
        *_trial_in_short(told),
        *_removal_in_short(told),
    ]


def _found_in_short(told: Told) -> Iterator[Markup]:
    counts, in_run = told.record["counts"], bool(told.record["run"])
    one, searched = counts["pictures"] == 1, told.n("found.about.images")
    pictures = told.count("counts.pictures", "picture")
    undecided = counts.get("undecided", 0)  # older records count them as not found
    whose = Markup("the picture") if one else Markup("any of the {}").format(pictures)
    if not counts["found"] and not undecided:
        yield Markup(
            "No copy of {} that {} sent was found among the {} images that were searched. What is "
            "nearest is shown below: please look at it."
        ).format(whose, "was" if one else "were", searched)
        yield from _decided_in_short(told)
        return
    place = "in_training" if in_run else "found"
    among = (
        Markup("the {} images that the model was trained on").format(told.n("run.training_images"))
        if in_run
        else Markup("the {} images of the data").format(searched)
    )
    if not counts["found"]:
        yield Markup(
            "No certain copy of {} that {} sent was found among the {} images that were searched."
        ).format(whose, "was" if one else "were", searched)
    elif counts[place]:
        yield _some_of(told, f"counts.{place}", one, "or a copy of it,", "or copies of them,") + (
            Markup(" {} among {}.").format("is" if counts[place] == 1 else "are", among)
        )
    elif in_run:
        none = "The picture that was sent is not" if one else "None of the pictures is"
        yield Markup("{} among {}.").format(none, among)
    if in_run and counts["only_held_out"]:
        it = "it" if counts["only_held_out"] == 1 else "them"
        yield _some_of(told, "counts.only_held_out", one) + Markup(
            " {} set aside before the training, to test the model with: the model never saw {}."
        ).format("was" if it == "it" else "were", it)
    if in_run and counts["only_unused"]:
        several = counts["only_unused"] > 1
        yield _some_of(told, "counts.only_unused", one) + Markup(
            " {} in the data, but the model was not trained on that part."
        ).format("are" if several else "is")
    if counts["to_decide"]:
        further = "further " if counts["found"] else ""
        yield Markup("{} like a copy but {} not counted as one: a person has to decide.").format(
            told.count("counts.to_decide", f"{further}image looks", f"{further}images look"),
            "is" if counts["to_decide"] == 1 else "are",
        ) + (_until_then(told, one) if undecided else "")
    yield from _decided_in_short(told)
    if counts["not_found"]:
        yield Markup("Of {} no copy was found; what is nearest is shown below.").format(
            _some_of(told, "counts.not_found", one, lower=True)
        )


def _until_then(told: Told, one: bool) -> Markup:
    count = told.record["counts"]["undecided"]
    return Markup(" Until then {} {} neither as found nor as not found.").format(
        _some_of(told, "counts.undecided", one, lower=True), "counts" if count == 1 else "count"
    )


def _decided_in_short(told: Told) -> Iterator[Markup]:
    """Say how much of the answer is the decision of a person."""
    counts = told.record["counts"]
    said = []
    for name, words in (("said_theirs", "theirs"), ("said_not_theirs", "not theirs")):
        if counts.get(name):
            verb = "is" if counts[name] == 1 else "are"
            said.append(told.count(f"counts.{name}", "image") + f" {verb} {words}")
    if said:
        yield Markup("A person looked at the pictures and decided: {}.").format(
            Markup("; ").join(said)
        )


def _some_of(
    told: Told, path: str, one: bool, single: str = "", several: str = "", lower: bool = False
) -> Markup:
    """Return ``3 of the 5 pictures that were sent, or copies of them,``."""
    if one:
        start = Markup("the picture that was sent" if lower else "The picture that was sent")
    elif value_at(told.record, path) == told.record["counts"]["pictures"]:
        start = Markup("{} {} that were sent").format(
            "all" if lower else "All", told.count(path, "picture")
        )
    else:
        start = Markup("{} of the {} that were sent").format(
            told.n(path), told.count("counts.pictures", "picture")
        )
    tail = single if value_at(told.record, path) == 1 else several
    return start + (f", {tail}" if tail else "")


def _drawn_in_short(told: Told) -> Iterator[Markup]:
    influence = told.record["influence"]
    if not influence or influence["copies"]["tested"] is None:
        return
    found = len(influence["copies"]["pictures"])
    tested = told.count("influence.copies.tested", "picture")
    if not found:
        yield Markup(
            "Of {} that the model drew for its own prompts, none is a near copy of them."
        ).format(tested)
    else:
        yield Markup("Of {} that the model drew for its own prompts, {} of one of them.").format(
            tested, "1 is a near copy" if found == 1 else f"{found} are near copies"
        )


def _trial_in_short(told: Told) -> Iterator[Markup]:
    trial = told.record["trial"]
    if not trial or not trial["itself"]:
        return
    verdict = trial["itself"]["verdict"]
    if verdict == Verdict.ATTRIBUTABLE:
        yield Markup(
            "A trial shows that the model learnt from them: models trained without them are "
            "measurably worse at these very pictures."
        )
    elif verdict == Verdict.NOT_ATTRIBUTABLE:
        yield Markup(
            "A trial shows no trace of them: models trained without them are as good at these "
            "very pictures."
        )
    else:
        yield Markup(
            "A trial could not tell whether the model learnt from them: it was too small for "
            "that. This is not a “no”."
        )


def _removal_in_short(told: Told) -> Iterator[Markup]:
    removal = told.record["removal"]
    if not removal:
        return
    them = "this image" if told.record["counts"]["removed"] == 1 else "these images"
    if removal["how"] == "exact":
        yield Markup("A new model was trained from the beginning without {}.").format(them)
    elif removal["how"] == "none":
        yield Markup("No new model was made: the images are still in the model.")
    else:
        yield Markup(
            "The model was changed by the method {} so as to forget {}. That is not the same as "
            "a training without them."
        ).format(removal["how"], them)
    drawn = (told.record["after"] or {}).get("drawn")
    if drawn and "after" not in drawn and drawn["probes"]:
        near = len(drawn["before"]["pictures"])
        yield Markup("Asked for them by their captions, too, it drew {}.").format(_near(near))
    if drawn and "after" in drawn:
        before, now = (len(drawn[when]["pictures"]) for when in ("before", "after"))
        yield Markup(
            "Asked for the same pictures again, it drew {} of them; the model before drew {}."
        ).format(_near(now), before or "none")


def _near(count: int) -> str:
    if not count:
        return "no near copy"
    return "1 near copy" if count == 1 else f"{count} near copies"


def kind_words(match: Mapping[str, Any]) -> str:
    """Return what an image is to the picture that was sent.

    Examples
    --------
    >>> kind_words({"kind": "cropped mirrored", "verdict": "copy", "copy": True, "by_way_of": ""})
    'a copy: cropped, mirrored'
    """
    if match.get("decision"):
        return f"a person decided: {match['decision']}"
    if match["verdict"] == "similar":
        return "among the nearest"
    kinds = match["kind"].split()
    words = ", ".join(KINDS.get(kind, kind.replace("_", " ")) for kind in kinds)
    if not set(kinds) <= {"identical", "same_pixels"}:
        words = f"a copy: {words}" if match["copy"] else f"looks like a copy: {words}; not counted"
    return words + (f"; found by way of {match['by_way_of']}" if match["by_way_of"] else "")


def looked_for(record: Mapping[str, Any]) -> str:
    """Return the kinds of copies that count, in words."""
    if record["found"]["about"]["copies"] == "exact":
        return "the same file, and the same picture in another file"
    return (
        "the same file, the same picture in another file, and copies that were saved again, "
        "resized, cropped, mirrored, turned, stretched, recoloured or blurred, got a border, or "
        "have something laid over them"
    )


def recall_rows(told: Told) -> list[tuple[str, Markup]]:
    """Return how many copies of each kind the search finds, lowest and highest by strength.

    With the numbers of photos where the record has them: ``11 of 12 (91.7 %)``.
    """
    places: dict[str, list[int]] = {}
    recall = told.record["found"]["about"]["detector"]["recall"]
    for place, row in enumerate(recall):
        places.setdefault(row["kind"], []).append(place)
    rows = []
    for kind, own in places.items():
        ends = [pick(own, key=lambda place: recall[place]["rate"]) for pick in (min, max)]
        low, high = (_share(told, f"found.about.detector.recall.{place}") for place in ends)
        same = recall[ends[0]]["rate"] == recall[ends[1]]["rate"]
        rows.append((KINDS.get(kind, kind), low if same else low + " to " + high))
    return rows


def wrongly_found(told: Told) -> Markup | None:
    """Return how many photos without a copy were said to have one; None if nobody measured it."""
    at = "found.about.detector.false_positives"
    return _share(told, at, "wrong") if value_at(told.record, at) else None


def _share(told: Told, at: str, of: str = "found") -> Markup:
    rate, of_all = told.n(f"{at}.rate", "percent"), value_at(told.record, at)
    if of not in of_all or "n" not in of_all:
        return rate
    return Markup("{} of {} ({})").format(told.n(f"{at}.{of}"), told.n(f"{at}.n"), rate)
