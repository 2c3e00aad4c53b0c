"""Whether this machine can run experiments, and with what: `untrain doctor`."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from untrain.core.cache import VARIABLE, cache_folder, entries
from untrain.core.errors import UntrainError
from untrain.core.outside import read_text
from untrain.runs.find import RUNS, runs_in

OK, NOTE, BROKEN = "ok", "note", "broken"
LITTLE_DISK = 2e9  # bytes, of features of a large catalogue and a run
LITTLE_MEMORY = 4e9
UNASKED = ("dev", "test")  # extras of who works on untrain itself
WHOLE = ("config.json", "preprocessor_config.json")  # of a vision model, beside its weights


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    group, name : str
    state : str
        ok; note, which limits what can be done; or broken: experiments do not run.
    found : str
        What is there.
    remedy : str
        What to do, where something is to be done.
    """

    group: str
    name: str
    state: str
    found: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return what JSON can hold."""
        return asdict(self)


def examine(encoder: str = "", runs: Path = RUNS) -> list[Finding]:
    """Look at packages, machine, disks, encoders and extras; nothing is downloaded.

    Parameters
    ----------
    encoder : str
        An encoder to try to load, by name, folder or hub id.
    runs : Path
        Where runs are, or would be.
    """
    looks: list[Callable[[], Iterator[Finding]]] = [
        _packages,
        _machine,
        lambda: _disks(runs),
        lambda: _encoders(encoder),
        _ray,
        _extras,
    ]
    return [finding for look in looks for finding in look()]


def _packages() -> Iterator[Finding]:
    from untrain import __version__

    yield Finding("packages", "untrain", OK, __version__)
    yield Finding("packages", "python", OK, platform.python_version())
    for requirement in _requirements():
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _installed("packages", requirement, BROKEN)


def _extras() -> Iterator[Finding]:
    """Look at optional packages, each named with the first extra that has it."""
    from untrain.training.trackers import TRACKERS

    named: set[str] = set()
    for requirement in _requirements():
        for extra in _extra_names():
            here = requirement.marker and requirement.marker.evaluate({"extra": extra})
            elsewhere = extra in UNASKED or requirement.name in {"ray", *TRACKERS, *named}
            if here and not requirement.marker.evaluate({"extra": ""}) and not elsewhere:
                named.add(requirement.name)
                found = _installed("optional", requirement, NOTE)
                remedy = found.remedy and f"pip install 'untrain[{extra}]'"
                yield Finding(found.group, found.name, found.state, found.found, remedy)
    for name in TRACKERS:
        known = _version_of(name)
        state = OK if known else NOTE
        yield Finding(
            "optional",
            name,
            state,
            known or "not installed",
            "" if known else f"pip install {name}",
        )


def _requirements() -> list[Any]:
    """Return what the package says it needs, as `packaging` reads it."""
    from packaging.requirements import Requirement

    return [Requirement(line) for line in requires("untrain") or ()]


def _extra_names() -> list[str]:
    from importlib.metadata import metadata

    return metadata("untrain").get_all("Provides-Extra") or []


def _installed(group: str, requirement: Any, otherwise: str) -> Finding:
    """Hold an installed version against what is needed."""
    name, needed = requirement.name, str(requirement.specifier)
    found = _version_of(name)
    if found is None:
        return Finding(group, name, otherwise, "not installed", f"pip install '{name}{needed}'")
    if not requirement.specifier.contains(found, prereleases=True):
        remedy = f"pip install '{name}{needed}'"
        return Finding(group, name, otherwise, f"{found}, needs {needed}", remedy)
    return Finding(group, name, OK, f"{found} ({needed})" if needed else found)


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    from untrain.core.threads import cores, default_threads
    from untrain.training.worker import default_workers

    yield Finding("machine", "system", OK, f"{platform.system()} {platform.machine()}")
    here, every = cores(), os.cpu_count() or 1
    words = f"{here}" if here == every else f"{here} of {every} may be used"
    yield Finding("machine", "cores", OK, words)
    memory = _memory()
    if memory:
        state = NOTE if memory < LITTLE_MEMORY else OK
        remedy = "train fewer models at once: --workers 1" if state == NOTE else ""
        yield Finding("machine", "memory", state, f"{memory / 1e9:.1f} GB", remedy)
    try:
        import torch

        from untrain.core.hardware import default_precision, has_fast_bfloat16

        float((torch.ones(8, 8) @ torch.ones(8, 8)).sum())
    except (ImportError, OSError, RuntimeError) as error:
        yield Finding("machine", "torch", BROKEN, str(error), "pip install --force-reinstall torch")
        return
    limit = os.environ.get("OMP_NUM_THREADS")
    given = f" (OMP_NUM_THREADS={limit})" if limit else ""
    yield Finding("machine", "threads", OK, f"{default_threads()}{given}")
    yield Finding("machine", "models at once", OK, str(default_workers()))
    fast = "fast here" if has_fast_bfloat16() else "emulated here, and slow"
    told = f"{default_precision()} unless generator.precision says otherwise; bfloat16 is {fast}"
    yield Finding("machine", "precision", OK, told)
    yield _gpu(torch)


def _gpu(torch: Any) -> Finding:
    if not torch.cuda.is_available():
        why = (
            "this torch is built without CUDA" if torch.version.cuda is None else "none is visible"
        )
        return Finding("machine", "GPU", OK, f"none: {why}; models train on the processor")
    try:
        free, total = torch.cuda.mem_get_info()
        float(torch.ones(8, device="cuda").sum())
    except RuntimeError as error:
        what = str(error).splitlines()[0]
        return Finding(
            "machine", "GPU", BROKEN, what, "look at nvidia-smi, and torch's CUDA version"
        )
    name = torch.cuda.get_device_name()
    return Finding("machine", "GPU", OK, f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")


def _memory() -> float:
    """Return the bytes of memory that this process may use; 0 where nobody tells."""
    try:
        whole = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return 0.0
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container
    text = read_text(limit).strip() if limit.is_file() else ""
    return min(whole, float(text)) if text.isdigit() else whole


def _disks(runs: Path) -> Iterator[Finding]:
    kept = entries()
    size = sum(entry.size for entry in kept)
    held = f"{len(kept)} entries, {size / 1e6:,.0f} MB"
    yield _disk("cache", cache_folder(), held, f"set {VARIABLE} to a folder that can be written")
    yield _disk("runs", runs, f"{len(runs_in(runs))} runs", "choose another folder with --runs")


def _disk(name: str, folder: Path, held: str, remedy: str) -> Finding:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK) or not there.is_dir():
        return Finding("disk", name, BROKEN, f"{there} cannot be written", remedy)
    free = shutil.disk_usage(there).free
    state = NOTE if free < LITTLE_DISK else OK
    told = f"{folder}: {held}; {free / 1e9:.1f} GB free"
    return Finding("disk", name, state, told, "make room" if state == NOTE else "")


def _encoders(asked: str) -> Iterator[Finding]:
    """Look at what can embed pictures without a network."""
    yield Finding("encoders", "layout", OK, "needs no weights")
    for repository in _in_hub_cache():
        yield Finding("encoders", repository, OK, "in the hub's cache")
    if asked:
        from untrain.encoders import load_encoder

        try:
            with _offline():
                load_encoder(asked).encode([])
        except UntrainError as error:
            yield Finding("encoders", asked, BROKEN, "cannot be loaded", str(error))
        else:
            yield Finding("encoders", asked, OK, "loads")


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the hub's library from asking the network, for minutes where there is none."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _in_hub_cache() -> list[str]:
    """Return the vision models that are whole in the cache of the Hugging Face hub."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = set()
    for config in Path(HF_HUB_CACHE).glob("models--*/snapshots/*/config.json"):
        folder = config.parent
        whole = all((folder / name).exists() for name in WHOLE)
        if whole and any(folder.glob("*.safetensors")):
            found.add(folder.parent.parent.name.removeprefix("models--").replace("--", "/"))
    return sorted(found)


def _ray() -> Iterator[Finding]:
    found = _version_of("ray")
    if found is None:
        remedy = "pip install 'untrain[ray]', to train on a cluster"
        yield Finding("engines", "ray", NOTE, "not installed", remedy)
        return
    address = os.environ.get("RAY_ADDRESS")
    where = f"the cluster at {address} (RAY_ADDRESS)" if address else "started on this machine"
    yield Finding("engines", "ray", OK, f"{found}; {where} unless --address says another")
