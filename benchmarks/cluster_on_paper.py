"""What large catalogues take on many machines, reckoned from what a picture costs a core."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True)
class Figures:
    """What was measured, a picture and a core.

    Attributes
    ----------
    embed : float
        CPU seconds to read, decode, embed and write a picture in one process.
    overhead : float
        How much more they are on a cluster, as a share.
    feed : float
        CPU seconds of the machine that asks, of these: reading, sending, writing.
    dimensions : int
        Of features.
    scan : float
        CPU seconds an exact search takes for each row; NaN: not measured.
    gradient, gradient_overhead : float
        As ``embed`` and ``overhead``, for a pair's row of gradients; NaN: not measured.
    """

    embed: float
    overhead: float
    feed: float
    dimensions: int
    scan: float
    gradient: float
    gradient_overhead: float


@dataclass(frozen=True)
class Machine:
    """A machine to reckon with: an assumption, not a measurement."""

    cores: int = 64
    memory: float = 512e9  # bytes
    disk: float = 16e12  # bytes
    read: float = 3e9  # bytes/s of the disk


PICTURE = 100e3  # bytes of an encoded photo, 100 kB
TEXT = 200  # bytes of an id, a caption and a hash
# An IVF-PQ index of bench_index.py: images, bytes of memory, seconds of a query.
ROWS_OF_INDEX, BYTES_OF_INDEX, SECONDS_OF_INDEX = 10**7, 2.1e9, 0.016


def on_paper(
    pictures: int, measured: Figures, machine: Machine | None = None, hours: float = 24.0
) -> dict[str, float]:
    """Return what a catalogue takes.

    Parameters
    ----------
    pictures : int
    measured : Figures
    machine : Machine, optional
    hours : float
        Within which it is to be embedded.

    Returns
    -------
    dict of str to float
        ``core_hours``; ``machines`` that embed it in ``hours``, and ``hours`` that they take;
        ``feeders``, machines' cores that read and send; ``read`` and ``features`` in TB;
        ``holders``, machines whose disks hold features and texts; seconds of a query: ``exact``
        with features in memory, on so many machines as have it (``in_memory``); ``from_disk``,
        exact, by the holders; ``approximate``, IVF-PQ indexes in the memory of ``searchers``.
    """
    machine = machine or Machine()
    seconds = pictures * measured.embed * (1 + measured.overhead)
    machines = ceil(seconds / (3600 * hours * machine.cores))
    row = 2 * measured.dimensions
    size = pictures * row
    holders = ceil((size + pictures * TEXT) / machine.disk)
    in_memory = ceil(size / (0.8 * machine.memory))
    indexes = pictures / ROWS_OF_INDEX
    searchers = max(holders, ceil(indexes * BYTES_OF_INDEX / (0.8 * machine.memory)))
    return {
        "core_hours": seconds / 3600,
        "machines": machines,
        "hours": seconds / (3600 * machines * machine.cores),
        "feeders": pictures * measured.feed / (3600 * hours),
        "read": pictures * PICTURE / 1e12,
        "features": size / 1e12,
        "holders": holders,
        "in_memory": in_memory,
        "exact": pictures * measured.scan / (in_memory * machine.cores),
        "from_disk": size / holders / machine.read,
        "searchers": searchers,
        "approximate": ceil(indexes / searchers / machine.cores) * SECONDS_OF_INDEX,
    }


def paper(measured: Figures, sizes: tuple[int, ...] = (10**8, 5 * 10**9)) -> str:
    """Return the table of `on_paper` as Markdown, a column a size."""
    found = [on_paper(size, measured) for size in sizes]
    lines = [
        ("core hours to embed", "core_hours", "{:,.0f}"),
        ("machines of 64 cores that do it within a day", "machines", "{:,.0f}"),
        ("hours they take", "hours", "{:.1f}"),
        ("cores that read and send meanwhile", "feeders", "{:.1f}"),
        ("pictures read (100 kB each), TB", "read", "{:,.0f}"),
        ("features, TB", "features", "{:.2f}"),
        ("machines whose disks (16 TB) hold them", "holders", "{:,.0f}"),
        ("machines whose memory (512 GB) does", "in_memory", "{:,.0f}"),
        ("exact query, in memory, s", "exact", "{:.2f}"),
        ("exact query, from disk (3 GB/s), s", "from_disk", "{:,.0f}"),
        ("machines whose memory holds IVF-PQ indexes", "searchers", "{:,.0f}"),
        ("approximate query (IVF-PQ), s", "approximate", "{:.3f}"),
    ]
    rows = ["| pictures | " + " | ".join(f"{size:.0e}" for size in sizes) + " |"]
    rows.append("|---|" + "--:|" * len(sizes))
    for name, key, form in lines:
        told = [form.format(each[key]) if each[key] == each[key] else "–" for each in found]
        rows.append(f"| {name} | " + " | ".join(told) + " |")
    return "\n".join(rows)


MEASURED = Figures(0.01256, 0.576, 0.000123, 1280, 7.76e-07, 0.0022, 0.133)
"""By the command of `bench_cluster.py`, on a machine that other work loaded: see
docs/performance.md."""
