"""What `untrain takedown` costs apart from training: five pictures against a whole catalogue.

``python benchmarks/bench_takedown.py --catalog fashion.zip``                a real catalogue
``python benchmarks/bench_takedown.py``                                      the rendered one
``python benchmarks/bench_takedown.py --run runs/shop``    a run: search, copies, prompts that lean

The request is five images of the catalogue: as they are, saved again as JPEG, at half the size,
mirrored, and cut to 80 %; or one of these edits each for as many as ``--pictures`` says. Every call
is a process of its own, as for a user, and starts a request of its own; *seconds* are by the clock
from start to end, interpreter and imports included, *processor* those of all its threads. The first
call fills the cache, unless one is given.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

from PIL import ImageOps

from bench_trace import python
from untrain.catalogs.base import Catalog
from untrain.cli.catalogue import open_catalogue
from untrain.core.progress import console
from untrain.runs.find import find_run
from untrain.runs.inputs import run_config, whole_catalog

COMMAND = "from untrain.cli import main; main()"
EDITS = ("as it is", "saved again", "half the size", "mirrored", "cut to 80 %")


def edited(catalog: Catalog, image_id: str, edit: str) -> tuple[str, bytes]:
    """Return the name and content of a file with an edited image."""
    if edit == "as it is":
        return f"{image_id}-0.jpg", catalog.read(image_id)
    image = catalog.image(image_id)
    if edit == "half the size":
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)))
    elif edit == "mirrored":
        image = ImageOps.mirror(image)
    elif edit == "cut to 80 %":
        width, height = round(0.8 * image.width), round(0.8 * image.height)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return f"{image_id}-{EDITS.index(edit)}.jpg", buffer.getvalue()


def write_request(folder: Path, catalog: Catalog, count: int) -> dict[str, str]:
    """Write the folder of a request; return the image behind each file."""
    folder.mkdir()
    behind = {}
    for number in range(count):
        image_id = catalog.ids[len(catalog) * (2 * number + 1) // (2 * count)]
        name, data = edited(catalog, image_id, EDITS[number % len(EDITS)])
        (folder / name).write_bytes(data)
        behind[name] = image_id
    return behind


def main() -> None:
    """Run the command a few times and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--catalog", default="rendered", help="a folder or file, or 'rendered'")
    parser.add_argument("--run", type=Path, help="a run instead")
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="a cache that is already filled")
    args = parser.parse_args()
    console.quiet = True
    with tempfile.TemporaryDirectory(prefix="bench-takedown-") as name:
        place = Path(name)
        os.environ["UNTRAIN_CACHE"] = str(args.cache or place / "cache")
        if args.run:
            catalog = whole_catalog(run_config(find_run(args.run)))
            given = ["--run", str(args.run), "--remove", "none", "--probes", "0"]
        else:
            named = args.catalog == "rendered"
            catalog = open_catalogue(None if named else Path(args.catalog))
            given = ["--catalog", args.catalog, "--out", str(place / "out")]
        letter = place / "letter"
        behind = write_request(letter, catalog, args.pictures)
        print(f"{args.pictures} pictures in {len(catalog):,} images of {catalog.name}")
        for number in range(args.calls):
            reference = f"bench-{os.getpid()}-{number}"
            call = ["-q", "takedown", str(letter), *given, "--reference", reference, "--json"]
            wall, spent, said = python(COMMAND, *call)
            if args.run:
                shutil.rmtree(find_run(args.run) / "takedowns" / reference)
            first = "first" if number == 0 and not args.cache else "warm"
            print(f"  {first}: {wall:.1f} s, {spent:.1f} s of the processor")
        matches = json.loads(said)["found"]["matches"]
        for place_of, (file, image_id) in enumerate(behind.items()):
            own = [match for match in matches if match["picture"] == file]
            found = any(match["copy"] and match["image_id"] == image_id for match in own)
            others = sum(match["copy"] and match["image_id"] != image_id for match in own)
            edit = EDITS[place_of % len(EDITS)]
            print(f"  {edit}: {'found' if found else 'NOT found'}, {others} others")


if __name__ == "__main__":
    main()
