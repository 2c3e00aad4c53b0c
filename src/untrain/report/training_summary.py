"""The facts of training data in the order of the European Commission's template.

The template is that of the public summary of training content which Article 53(1)(d) of Regulation
(EU) 2024/1689 asks of providers of general-purpose models (published on 24 July 2025). What a
catalogue tells is filled in; everything else is left, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from untrain.core.text import markdown, markdown_code

OPEN = "*to be filled in*"

UNKNOWN = {
    "1.1": ("Provider", "name and contact details; authorised representative"),
    "1.2": (
        "Model",
        "versioned names, the models that it was made from, date of placement on the Union market",
    ),
    "1.3": (
        "Overall size and characteristics",
        "types of content of each modality; when the data were collected, and whether that goes "
        "on; languages and other characteristics",
    ),
    "2.1": ("Publicly available datasets", "which, and the parts that were used"),
    "2.2": ("Private datasets", "licensed from rightsholders, or obtained from others"),
    "2.3": ("Crawled and scraped data", "names and behaviour of the crawlers, period"),
    "2.4": ("User data", "from which services and products"),
    "2.5": ("Synthetic data", "which models made them, and for which purpose"),
    "2.6": ("Other sources", "which, and how they were obtained"),
    "3.1": (
        "Rights reserved from text and data mining",
        "the protocols that were honoured when the data were collected, and whether the Code of "
        "Practice was signed",
    ),
    "3.2": ("Illegal content", "measures to keep it out"),
    "3.3": ("Other information", "on the processing of the data"),
}
"""The sections of the template by number: what each is about, and what of it no data tell."""

KINDS = {"synthetic": "2.5", "public": "2.1", None: "2.6"}
"""Where the template has sources of a kind; of files it has to be decided."""


def template_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts with the sections that are left to be filled in, as JSON holds them."""
    return {
        "template": "Public summary of training content, Article 53(1)(d) of Regulation (EU) "
        "2024/1689, as published on 24 July 2025",
        **facts,
        "to_be_filled_in": {number: list(texts) for number, texts in UNKNOWN.items()},
    }


def summary_markdown(facts: Mapping[str, Any]) -> str:
    """Return the facts as `untrain.runs.training_facts.training_facts` gives them, as a page.

    The page has the sections of the template; what is not known stands there as such.
    """
    data, sources = facts["data"], facts["sources"]
    lines = [
        "# Summary of training content",
        "",
        "The facts that the data themselves tell, in the order of the European Commission's "
        "template for the public summary of training content (Article 53(1)(d) of Regulation (EU) "
        f"2024/1689). Made by untrain {facts['untrain']}; what it cannot know is marked {OPEN}.",
        *_section("1. General information"),
        *_open("1.1"),
        *_open("1.2", _model(facts.get("model"))),
        *_open("1.3", _size(data, facts.get("held_out"))),
        *_section("2. List of data sources"),
    ]
    for number in ("2.1", "2.2", "2.3", "2.4", "2.5", "2.6"):
        of_kind = [s for s in sources if KINDS[s["kind"]] == number]
        found = [f"{markdown(each['format'])}: {markdown_code(each['place'])}" for each in of_kind]
        if number == "2.3":
            found += _domains(data["domains"])
        if number == "2.6" and found:
            found.append(
                "files: whether they belong under 2.1, 2.2, 2.3 or 2.4 is for you to decide"
            )
        if number in ("2.1", "2.2") and data["licences"] is not None:
            found += _licences(data["licences"])
        lines += _open(number, found)
    lines += [
        *_section("3. Data processing aspects"),
        *_open("3.1", _measures(data)),
        *_open("3.2", _skipped(data)),
        *_open("3.3", _processing(data)),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str) -> list[str]:
    return ["", f"## {title}"]


def _open(number: str, known: Iterable[str] = ()) -> Iterator[str]:
    """Yield a section: what is known, and what is left."""
    title, rest = UNKNOWN[number]
    yield from ("", f"### {number} {title}", "")
    yield from (f"- {line}" for line in known)
    yield f"- {rest}: {OPEN}"


def _model(model: Mapping[str, Any] | None) -> Iterator[str]:
    if model:
        preset = f", preset {model['preset']}" if model["preset"] else ""
        yield f"generator: {markdown_code(model['generator'])}{preset}"
        for weights in model["weights"]:
            yield f"made from the given weights {markdown_code(weights)}"


def _size(data: Mapping[str, Any], held_out: int | None) -> Iterator[str]:
    bands = data["bands"]
    yield "modalities: image and text (a caption for each image)"
    yield f"fingerprint of the data: {data['fingerprint']}"
    yield (
        f"image: {bands['image']} ({data['images']:,}, of which {data['distinct_images']:,} "
        f"different; {data['bytes']:,} bytes, {data['pixels']:,} pixels)"
    )
    if data["width"]:
        sides = (data[side] for side in ("width", "height"))
        told = " × ".join(f"{s['min']:g} to {s['max']:g} (median {s['median']:g})" for s in sides)
        yield f"width × height in pixels: {told}"
    captions = data["captions"]
    yield (
        f"text: {bands['text'] or OPEN} ({captions['words']:,} words, {captions['bytes']:,} bytes; "
        f"{captions['distinct']:,} different captions)"
    )
    if held_out:
        yield f"held out, and so not trained on: {held_out:,} images"
    if data["dates"]:
        dates = data["dates"]
        yield (
            f"files last changed: {dates['first']} to {dates['last']} ({dates['of']:,} files). "
            "This is not the date of collection"
        )


def _domains(domains: Mapping[str, Any] | None) -> Iterator[str]:
    if domains is None:
        return
    yield (
        f"{domains['distinct']:,} domains in the column of URLs ({domains['without']:,} images "
        "without one); the tenth with the most content:"
    )
    for each in domains["largest"]:
        yield f"{markdown_code(each['domain'])}: {each['images']:,} images, {each['bytes']:,} bytes"


def _licences(licences: Mapping[str, int]) -> Iterator[str]:
    told = ", ".join(f"{markdown(name) or 'none given'} ({n:,})" for name, n in licences.items())
    yield f"licences, by the column of them: {told}"


def _measures(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what lists and reservations kept out."""
    if not data["excluded"]:
        yield "no opt-out list was applied, and no reservation in the images was read"
    for each in data["excluded"]:
        what = f"{each['images']:,} images and {each['copies']:,} byte-identical copies left out"
        if each["sha256"]:
            yield (
                f"opt-out list {markdown_code(each['source'])} (SHA-256 {each['sha256']}): {what}; "
                f"of its {each['entries']:,} entries {each['unmatched']:,} name no image here"
            )
        else:
            said = ", ".join(f"{n:,} {word}" for word, n in each["kinds"].items()) or "none"
            yield f"reservations in the images ({each['source']}): {what}; what they say: {said}"


def _skipped(data: Mapping[str, Any]) -> Iterator[str]:
    for reason, count in data["skipped"].items():
        yield f"left out as unusable: {count:,} × {markdown(reason)}"


def _processing(data: Mapping[str, Any]) -> Iterator[str]:
    duplicates = data["duplicates"]
    yield (
        f"byte-identical duplicates that are left in: {duplicates['images']:,} images in "
        f"{duplicates['groups']:,} groups"
    )
