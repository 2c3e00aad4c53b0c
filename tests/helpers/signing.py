"""Keys of OpenSSH, and lists of who may sign."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_key(folder: Path, name: str) -> Path:
    """Make a key and a list of signers that has it, by its name."""
    key = folder / name
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
    subprocess.run(words, check=True)
    (folder / f"{name}.txt").write_text(f"{name}@example.org {key.with_suffix('.pub').read_text()}")
    return key
