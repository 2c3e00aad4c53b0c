"""Embedding pictures as tasks of a Ray cluster, whose nodes share no file system with this machine.

A task gets the encoded bytes of some pictures and returns their features. The encoder goes to each
node once, as the bytes of its files, and is opened once by each process. Everything travels as
bytes and numbers; a node reads no files of its own but the installed packages.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any

import numpy as np

from untrain.catalogs.base import Catalog
from untrain.core import cluster, disk
from untrain.core.errors import InputError
from untrain.core.images import decode
from untrain.core.notes import Note
from untrain.core.tensors import read_numbers
from untrain.core.threads import threads_set
from untrain.encoders.base import Encoder, pooled
from untrain.encoders.embedding import BATCH, Features, embedded
from untrain.encoders.registry import load_encoder
from untrain.encoders.transformers_vision import TransformersEncoder

PART = 16 * BATCH  # pictures of a task: seconds of work, and a few MiB
FILES = ("*.json", "*.safetensors")  # what an encoder is read from


@dataclass(frozen=True)
class Parcel:
    """An encoder as what nodes make it of.

    Attributes
    ----------
    name : str
        As `load_encoder` takes it.
    options : mapping
        All but ``path``.
    files : mapping of str to ndarray of uint8
        Of the model's folder; none where the encoder has no weights of its own. Arrays, because a
        node's processes read those in its shared memory, without a copy.
    fingerprint : str
        Of the encoder that the features are of: as loaded, or its pooled form.
    """

    name: str
    options: Mapping[str, Any]
    files: Mapping[str, np.ndarray]
    fingerprint: str

    def open(self) -> Encoder:
        """Return the encoder.

        Raises
        ------
        InputError
            It cannot be made here, or is another than the one that was packed.
        """
        if not self.files:
            return self._checked(load_encoder(self.name, **self.options))
        with tempfile.TemporaryDirectory(prefix="untrain-") as folder:
            for name, data in self.files.items():
                disk.write_bytes(Path(folder, name), data.data)
            return self._checked(load_encoder(self.name, path=folder, **self.options))

    def _checked(self, encoder: Encoder) -> Encoder:
        for made in (encoder, pooled(encoder)):
            if made.fingerprint == self.fingerprint:
                return made
        raise InputError(
            f"the encoder '{self.name}' is another on the node '{gethostname()}' than on the "
            "machine that asks: install the same packages on all nodes"
        )


def packed(encoder: Encoder, name: str, options: Mapping[str, Any]) -> Parcel:
    """Return an encoder as a parcel, given how it was loaded.

    Raises
    ------
    InputError
        Its files cannot be found.
    """
    if not isinstance(encoder, TransformersEncoder):
        return Parcel(name, options, {}, encoder.fingerprint)
    others = {key: value for key, value in options.items() if key != "path"}
    folder = _folder(encoder.path)
    files = {
        file.name: read_numbers(file, np.uint8)
        for pattern in FILES
        for file in sorted(folder.glob(pattern))
    }
    return Parcel("transformers", others, files, encoder.fingerprint)


def _folder(path: str) -> Path:
    """Return the folder of a model that has been loaded, also of one named by its hub id."""
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path, local_files_only=True))
    except (OSError, ValueError) as error:
        raise InputError(f"encoder: the files of '{path}' are no longer here ({error})") from None


@dataclass
class OnRay:
    """Embeds pictures on a Ray cluster; see `untrain.encoders.embedding.Embedding`.

    The same bytes come out as here with as many threads, on processors of one kind: pictures share
    the same batches, and the pace (`untrain.encoders.tuning`) is this machine's.

    Attributes
    ----------
    name, options
        How the encoder was loaded, as `load_encoder` takes them.
    address : str, optional
        As of `untrain.training.ray.RayEngine`.
    threads : int
        CPUs of a task.
    workers : int, optional
        How many tasks there are at once at most; by default the cluster decides.
    notes : list of Note
        What a reader must know of the last call.
    """

    name: str
    options: Mapping[str, Any]
    address: str | None = None
    threads: int = 1
    workers: int | None = None
    notes: list[Note] = field(default_factory=list)

    def check(self) -> None:
        """Raise `InputError` if the cluster cannot be used."""
        cluster.check(cluster.address_of(self.address))

    def __call__(self, encoder: Encoder, catalog: Catalog, ids: Sequence[str]) -> Features:
        """Yield the features of a task's pictures at a time."""
        if not len(ids):
            return
        parcel, threads = self._settled(encoder, catalog, ids[:BATCH])
        with cluster.connected(cluster.address_of(self.address), self.threads) as (ray, ours):
            cluster.tell_if_too_small(ray, {"CPU": self.threads})
            task = ray.remote(num_cpus=self.threads, max_retries=cluster.RETRIES)(_embed)
            fixed = (ray.put(parcel), parcel.fingerprint, threads, cluster.versions())
            calls = ((len(part), (part, *fixed)) for part in _parts(catalog, ids))
            at_once = self.workers or cluster.tasks_at_once(ray, self.threads)
            failed = "pictures could not be embedded"
            processors = {cluster.processor()}
            done = cluster.results(ray, task, calls, at_once, failed, not ours, in_order=True)
            with closing(done):
                for _, (features, processor) in done:
                    processors.add(processor)
                    self._tell(processors)
                    yield features

    def _settled(
        self, encoder: Encoder, catalog: Catalog, ids: Sequence[str]
    ) -> tuple[Parcel, int]:
        """Return the encoder, with the batch size that is best here, and threads of a pass."""
        options, threads = dict(self.options), self.threads
        if isinstance(encoder, TransformersEncoder):
            with threads_set(self.threads):
                found = encoder.pace([np.asarray(decode(catalog.encoded(i), i)) for i in ids])
            options["batch_size"], threads = found.batch_size, found.threads
        return packed(encoder, self.name, options), threads

    def _tell(self, processors: set[str]) -> None:
        self.notes.clear()
        if len(processors) > 1:
            text = (
                "pictures were embedded on processors that round differently from each other or "
                f"from this machine's ({', '.join(sorted(processors))}): some features differ in "
                "their last digit from those of one machine"
            )
            self.notes.append(Note("processors-differ", text, tuple(sorted(processors))))


def _parts(catalog: Catalog, ids: Sequence[str]) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the pictures of one task after another, read when they are asked for."""
    for start in range(0, len(ids), PART):
        yield [(image_id, catalog.encoded(image_id)) for image_id in ids[start : start + PART]]


_opened: dict[str, Encoder] = {}  # of this process: the encoder that it used last


def _embed(
    pictures: list[tuple[str, bytes]],
    parcel: Parcel,
    fingerprint: str,
    threads: int,
    expected: dict[str, str],
) -> tuple[np.ndarray, str]:
    """Embed pictures on a node; return float16 (n, d), and what decides its rounding."""
    key = f"{fingerprint}-{parcel.options}"
    if key not in _opened:
        cluster.check_alike(cluster.versions(), expected, "features")
        _opened.clear()
        with cluster.disk_of_node():
            _opened[key] = parcel.open()
    read = dict(pictures).__getitem__
    with threads_set(threads):
        parts = list(embedded(_opened[key], read, [image_id for image_id, _ in pictures]))
    return np.concatenate(parts), cluster.processor()
