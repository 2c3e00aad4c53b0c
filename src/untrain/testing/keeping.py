"""Checks of `save` and `load`."""

from __future__ import annotations

import re

from untrain.core import disk
from untrain.core.outside import open_regular
from untrain.generators.base import Generator
from untrain.testing.bench import (
    Bench,
)

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib")


def check_saved_and_loaded(bench: Bench) -> None:
    """A model that is read in a new generator does what it did, to the bit."""
    generator, found = bench.fitted(bench.removed)
    folder = bench.folder / "saved"
    disk.make_folder(folder)
    generator.save(folder)
    loaded = bench.prepared().load(folder)
    assert isinstance(loaded, Generator), "load returned no generator; end it with `return self`"
    again = bench.behaviour(loaded)
    assert again == found, (
        f"saved and loaded, the model does something else (by {found.distance(again):.3g}): all "
        "measures are made on loaded models. Save all that fit has learnt"
    )


def check_files_are_safe(bench: Bench) -> None:
    """What is saved can be read without running code."""
    folder = bench.folder / "files"
    disk.make_folder(folder)
    bench.fitted()[0].save(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files, "save wrote no file"
    for path in files:
        with open_regular(path) as file:
            head = file.read(8)
        unsafe = path.suffix in PICKLES or re.match(rb"\x80[\x02-\x05]|PK\x03\x04", head)
        assert not unsafe, (
            f"save wrote {path.name}, which is pickled or looks so: who opens a run folder would "
            "run what is in it. Use safetensors and JSON"
        )
