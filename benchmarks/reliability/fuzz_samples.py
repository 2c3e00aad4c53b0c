"""What the fuzzer reads of files from outside: a sample of each kind, and what reads it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.numpy import save

from untrain.catalogs import load_catalog, rendered
from untrain.catalogs.export import export
from untrain.catalogs.formats.fashion import COLUMNS
from untrain.catalogs.groups import groups_of
from untrain.catalogs.opt_out import read_opt_out
from untrain.core.images import read_image
from untrain.runs.inputs import read_lines
from untrain.search.asked import asked_in
from untrain.search.rank.scores import read_scores
from untrain.settings.load import load_config
from untrain.takedowns.request import read_letter, read_request
from untrain.takedowns.verify import verify

Reader = tuple[str, bytes, Callable[[Path], object]]
"""Name of the file, a sample of what is in it, and what reads it."""

SETTINGS = """\
name: mine
seed: 3
data: {format: rendered, families: 20, where: {colour: [red, blue], year: {min: 2012}}}
prompts: {texts: [a red shirt, a blue bag]}
generator: {preset: micro, settings: {epochs: 2}}
ranking: {method: fusion, also: [study, bm25]}
removal: {arms: [targeted, random_uniform], k: [2, 5], draws: 2}
design: {models: 4}
evaluation: {draws: 100, alpha: 0.05}
"""
RECORD = """{
"kind": "takedown", "format": 1, "reference": "2026-17", "run": {"catalog": "0", "model": {"path":
"models/0", "files": {"model.json": "0"}}}, "request": {"fingerprint": "0", "pictures": [{"name":
"a.png", "sha256": "0"}], "unreadable": []}, "found": {"matches": [{"picture": "a.png", "image_id":
"1", "part": "training", "verdict": "copy", "copy": true}]}, "counts": {"pictures": 1, "undecided":
0}, "ids": {"1": "0"}, "decisions": {"not_copies": [], "also": []}, "files": {"report.html": "0"},
"removal": {"path": "models/1", "files": {"model.json": "0"}}, "after": {"surprise": {"requested":
[{"image_id": "1", "model": 0.5}], "means": {"model": {"requested": 0.5}}, "held_out": {"model":
[0.5]}, "membership": {"model": 0.5}}}}
"""
LETTER = "from: Jane Doe\nreceived: 2026-11-20\nreference: 2026-17\nasks: Please remove them.\n"
TRAK = '{"first": {"num_targets": 3, "scores_path": "scores/first.mmap", "scores_finalized": true}}'


def readers(folder: Path) -> dict[str, Reader]:
    """Return every reader of files from outside with a sample that it reads without complaint."""
    return {**_catalogs(folder), **_pictures(folder), **_lists(), **_scores(folder)}


def _catalogs(folder: Path) -> dict[str, Reader]:
    catalog = rendered(families=1, size_of_family=3, resolution=16)
    for format in ("csv", "coco", "parquet", "webdataset"):
        export(catalog, [], folder / format, format)

    def opened(format: str, above: int = 0) -> Callable[[Path], object]:
        def read(path: Path) -> object:
            place = path if not above else path.parents[above - 1]
            found = load_catalog(format, path=place, fresh=True)
            return [found.read(image_id) for image_id in found.ids]

        return read

    def sample(format: str, suffix: str) -> Reader:
        path = next((folder / format).glob(f"*{suffix}"))
        return str(path.relative_to(folder)), path.read_bytes(), opened(format)

    picture, caption = catalog.read(catalog.ids[0]), catalog.captions[0].encode()
    photo = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(photo, "JPEG")
    rows = [",".join(COLUMNS), *(f"{n},Men,Apparel,Top,Shirt,Red,Fall,2012,Casual,A" for n in "12")]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("styles.csv", "\n".join(rows))
        for name in "12":
            archive.writestr(f"images/{name}.jpg", photo.getvalue())
    for place in ("folder", "imagefolder", "jsonl"):
        (folder / place).mkdir()
        (folder / place / "a.png").write_bytes(picture)
        (folder / place / "b.png").write_bytes(picture)
        if place == "folder":
            (folder / place / "a.txt").write_bytes(caption)
            (folder / place / "b.txt").write_bytes(caption)
    (folder / "imagefolder/metadata.csv").write_bytes(b"file_name,text\na.png,a\nb.png,b\n")
    lines = b'{"file_name": "a.png", "text": "a"}\n{"file_name": "b.png", "text": "b"}\n'
    found: dict[str, Reader] = {
        "csv": sample("csv", ".csv"),
        "coco": sample("coco", ".json"),
        "parquet": sample("parquet", ".parquet"),
        "webdataset": sample("webdataset", ".tar"),
        "zip": ("x.zip", packed.getvalue(), opened("fashion")),
        "folder": ("folder/a.png", picture, opened("folder", 1)),
        "captions": ("folder/a.txt", caption, opened("folder", 1)),
        "groups": ("x.csv", _groups(catalog.ids), lambda path: groups_of(catalog, str(path))),
    }
    return {**found, **_of_datasets(folder, lines, opened)}


def _groups(ids: Any) -> bytes:
    return "\n".join(["image_id,brand", *(f"{image_id},a" for image_id in ids), ""]).encode()


def _of_datasets(folder: Path, lines: bytes, opened: Any) -> dict[str, Reader]:
    """The files of a data set that the library `datasets` reads, if there is one."""
    try:
        import datasets
    except ImportError:
        return {}
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    paths = [str(folder / "imagefolder" / name) for name in ("a.png", "b.png")]
    table = datasets.Dataset.from_dict({"image": paths, "text": ["a", "b"]})
    kinds = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    place = folder / "datasets"
    table.cast(kinds).save_to_disk(str(place))
    found: dict[str, Reader] = {
        "imagefolder.csv": (
            "imagefolder/metadata.csv",
            (folder / "imagefolder/metadata.csv").read_bytes(),
            opened("imagefolder", 1),
        ),
        "imagefolder.jsonl": ("jsonl/metadata.jsonl", lines, opened("imagefolder", 1)),
    }
    for path in sorted(place.iterdir()):
        name = f"datasets.{'arrow' if path.suffix == '.arrow' else path.stem}"
        found[name] = (f"datasets/{path.name}", path.read_bytes(), opened("datasets", 1))
    return found


def _pictures(folder: Path) -> dict[str, Reader]:
    found: dict[str, Reader] = {}
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    for format in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        data = io.BytesIO()
        Image.fromarray(noise).save(data, format)
        name = f"x.{format.lower()}"
        found[f"picture.{format.lower()}"] = (name, data.getvalue(), read_image)
    (folder / "asked").mkdir()
    (folder / "asked/a.png").write_bytes(found["picture.png"][1])

    def pictures(path: Path) -> object:
        found = asked_in([path])
        return [found.pictures[name] for name in found.pictures]

    table = b"image,prompt\na.png,a red shirt\n"
    found["pictures.csv"] = ("asked/x.csv", table, pictures)
    return found


def _lists() -> dict[str, Reader]:
    listed = pd.DataFrame({"sha256": ["a" * 64, None], "url": [None, "https://a.org/b"]})
    columns = io.BytesIO()
    listed.to_parquet(columns, index=False)
    picture = io.BytesIO()
    Image.new("RGB", (5, 5)).save(picture, "PNG")
    return {
        "settings": ("x.yaml", SETTINGS.encode(), load_config),
        "letter": ("request.yaml", LETTER.encode(), read_letter),
        "letter.txt": ("request.txt", LETTER.encode(), read_letter),
        "request": ("request/a.png", picture.getvalue(), lambda path: read_request(path.parent)),
        "takedown": ("takedown/record.json", RECORD.encode(), lambda path: verify(path.parent)),
        "lines": ("x.txt", b"a red shirt\n\na blue bag\n", lambda path: read_lines(path, "ids")),
        "opt-out.txt": ("x.txt", b"sha256:" + b"a" * 64 + b"\nhttps://a.org/b\n", read_opt_out),
        "opt-out.csv": ("x.csv", b"id,url\n1,https://a.org/b\n", read_opt_out),
        "opt-out.parquet": ("x.parquet", columns.getvalue(), read_opt_out),
    }


def _scores(folder: Path) -> dict[str, Reader]:
    prompts = pd.DataFrame(
        {"prompt_id": ["p00", "p01"], "prompt": ["a shirt", "a bag"], "role": "query"}
    )
    ids = ("1", "2", "3")

    def ranks(path: Path) -> object:
        return read_scores(path, prompts, ids)

    pairs = [(prompt, image) for prompt in prompts["prompt_id"] for image in ids]
    table = pd.DataFrame(pairs, columns=["prompt_id", "image_id"]).assign(score=np.arange(6.0))
    columns, plain, tensors = io.BytesIO(), io.BytesIO(), io.BytesIO()
    table.to_parquet(columns, index=False)
    values = np.arange(6.0).reshape(2, 3)
    np.save(plain, values)
    torch.save(torch.from_numpy(values.T.copy()), tensors)
    trak = io.BytesIO()
    np.save(trak, values.T)
    (folder / "trak/scores").mkdir(parents=True)
    (folder / "trak/scores/first.mmap").write_bytes(trak.getvalue())
    return {
        "scores.csv": ("x.csv", table.to_csv(index=False).encode(), ranks),
        "scores.parquet": ("x.parquet", columns.getvalue(), ranks),
        "scores.npy": ("x.npy", plain.getvalue(), ranks),
        "scores.mmap": ("x.mmap", trak.getvalue(), ranks),
        "scores.pt": ("x.pt", tensors.getvalue(), ranks),
        "scores.safetensors": ("x.safetensors", save({"all_modules": values}), ranks),
        "scores.trak": (
            "trak/experiments.json",
            TRAK.encode(),
            lambda path: ranks(path.parent),
        ),
    }
