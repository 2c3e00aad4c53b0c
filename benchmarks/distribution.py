"""Build wheel and sdist, install the wheel in a clean environment, use it there, weigh it.

    python benchmarks/distribution.py                    # into a temporary folder
    python benchmarks/distribution.py --out dist --json docs/results/wheel.json

Not a timing, but minutes: a virtual environment is made and everything that untrain needs is
installed into it (with ``constraints.txt``, so torch is the build that pip finds by that version:
on Linux from PyPI the one for CUDA, gigabytes larger; ``--find-links`` may name another). There
``untrain --help``, ``untrain doctor``, ``untrain trace`` (twelve pictures drawn here), a run of the
``micro`` preset and ``untrain verify`` must work, and every file of the package must be in the
wheel; the sdist is installed after it and must bring the same files. ``pip install build`` first.

Sizes are those of the files that each distribution has installed, MiB, largest first; of the torch
that was installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEIGH = """
import json, os
from importlib.metadata import distributions
found = {}
for each in distributions():
    files = [each.locate_file(f) for f in each.files or []]
    size = sum(os.path.getsize(f) for f in files if os.path.isfile(f))
    found[each.metadata["Name"]] = (each.version, size)
print(json.dumps(found))
"""
DRAW = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
folder = Path(sys.argv[1])
for n in range(12):
    plain = np.random.default_rng(n).integers(0, 255, 3)
    picture = np.tile(plain, (48, 48, 1)).astype(np.uint8)
    picture[n * 2 : n * 2 + 20, 8:40] = 255 - plain
    Image.fromarray(picture).save(folder / f"{n:02d}.png")
    (folder / f"{n:02d}.txt").write_text(f"picture number {n}")
"""
MICRO = """
from importlib.resources import files
print(files("untrain.settings") / "micro.yaml")
"""
BROUGHT = """
import hashlib, json
from importlib.metadata import files
own = [each for each in files("untrain") if each.suffix != ".pyc" and each.parts[0] == "untrain"]
print(json.dumps({str(each): hashlib.sha256(each.read_binary()).hexdigest() for each in own}))
"""


def call(*command: object, cwd: Path | None = None) -> str:
    """Run a command; return what it printed, or stop with it."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def missing(wheel: Path) -> list[str]:
    """Return the files of the package that git knows and the wheel does not have."""
    listed = call("git", "ls-files", "src/untrain", cwd=ROOT).splitlines()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    return sorted(name for name in listed if name.removeprefix("src/") not in names)


def use(python: Path, place: Path) -> None:
    """Use an installed untrain: help, doctor, and a trace of one of twelve pictures."""
    untrain = python.with_name("untrain")
    if "trace" not in call(untrain, "--help", cwd=place):
        sys.exit("untrain --help does not name its commands")
    checked = json.loads(call(untrain, "doctor", "--json", cwd=place))
    print(f"doctor: {len(checked['findings'])} findings")
    pictures = place / "pictures"
    pictures.mkdir()
    call(python, "-c", DRAW, pictures)
    said = call(
        *(untrain, "trace", pictures / "03.png", "--catalog", pictures, "--json"), cwd=place
    )
    first = json.loads(said)
    if "03" not in json.dumps(first):
        sys.exit(f"a traced picture of the catalogue was not found: {said[:500]}")
    print("trace: the picture was found")
    micro = call(python, "-c", MICRO, cwd=place).strip()
    call(untrain, "run", micro, "--runs", place / "runs", "--workers", 1, cwd=place)
    print(call(untrain, "verify", place / "runs" / "micro", cwd=place).strip().splitlines()[-1])


def weigh(python: Path) -> dict[str, tuple[str, int]]:
    """Return version and bytes of every distribution but the installer."""
    found: dict[str, tuple[str, int]] = json.loads(call(python, "-c", WEIGH))
    return {name: each for name, each in found.items() if name not in ("pip", "setuptools")}


def table(sizes: dict[str, tuple[str, int]], least: float = 5.0) -> str:
    """Return sizes as Markdown, MiB; what is smaller than ``least`` together."""
    ordered = sorted(sizes.items(), key=lambda item: -item[1][1])
    lines = ["| package | MiB |", "|---|--:|"]
    rest = 0.0
    for name, (version, size) in ordered:
        if size / 2**20 < least:
            rest += size / 2**20
        else:
            lines.append(f"| {name} {version} | {size / 2**20:.0f} |")
    total = sum(size for _, size in sizes.values()) / 2**20
    lines += [f"| others, each under {least:.0f} | {rest:.0f} |", f"| **all** | **{total:.0f}** |"]
    return "\n".join(lines)


def main() -> None:
    """Build, install, use, weigh."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder that keeps wheel and sdist")
    parser.add_argument("--find-links", help="for pip: where other builds of torch are")
    parser.add_argument("--json", type=Path, help="write the sizes here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        out = (args.out or place / "dist").resolve()
        call(sys.executable, "-m", "build", "--outdir", out, ROOT)
        wheel = max(out.glob("untrain-*.whl"), key=lambda path: path.stat().st_mtime)
        if lost := missing(wheel):
            sys.exit(f"{wheel.name} lacks {', '.join(lost)}: see package-data in pyproject.toml")
        call(sys.executable, "-m", "venv", place / "clean")
        python = place / "clean" / "bin" / "python"
        links = ["--find-links", args.find_links] if args.find_links else []
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        call(*pip, *links, "-c", ROOT / "constraints.txt", wheel)
        print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB, installed")
        use(python, place)
        sizes = weigh(python)
        brought = json.loads(call(python, "-c", BROUGHT, cwd=place))
        sdist = max(out.glob("untrain-*.tar.gz"), key=lambda path: path.stat().st_mtime)
        call(*pip, "--no-deps", "--force-reinstall", sdist)
        if json.loads(call(python, "-c", BROUGHT, cwd=place)) != brought:
            sys.exit(f"{sdist.name} brings other files than {wheel.name}")
        print(f"{sdist.name}: {sdist.stat().st_size / 2**20:.1f} MiB, brings the same files")
    print(table(sizes))
    if args.json:
        args.json.write_text(json.dumps(sizes, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
