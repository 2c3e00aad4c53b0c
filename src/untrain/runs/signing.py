"""A signature under what a folder holds: SHA-256 of every file, signed by a key of OpenSSH.

Two files are written into the folder of a run, or of the answer to a takedown request, and both
can be checked without untrain:

- ``SHA256SUMS``, as ``sha256sum`` writes and checks it;
- ``SHA256SUMS.sig``, as ``ssh-keygen -Y sign -n untrain`` writes it and ``ssh-keygen -Y verify``
  checks it.

The signature tells who had these files and that they are the same still. It does not tell that
what stands in them is true, nor when it was signed. The log, lists of checksums that grow while a
run works, and hidden files are left out.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from untrain.core.errors import InputError
from untrain.core.files import write_text
from untrain.core.manifest import expected
from untrain.core.outside import open_regular, read_bytes
from untrain.core.text import one_line
from untrain.core.verifying import verify as verify_files

SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
NAMESPACE = "untrain"
"""What the signature is for: one that was made for a commit or a letter is none."""
LEFT_OUT = {SUMS, SIGNATURE, "log.txt", "checksums.txt"}
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
PLAIN = re.compile(r"[^\x00-\x1f\x7f\\]+")
"""Names that stand in ``SHA256SUMS`` as they are."""
SECONDS = 60


@dataclass(frozen=True)
class Signed:
    """What was found of a signature.

    Attributes
    ----------
    key : str
        Kind and fingerprint of the key that made it; empty: the signature is not of these sums.
    signer : str
        Whose key that is by the list of signers; empty: it is not on it, or no list was given.
    files : int
        That were signed.
    changed, missing : tuple of str
        Signed files that are others now, or gone.
    added : tuple of str
        Files that came after the signature; it says nothing of them.
    trusted : bool
        Whether a list of signers was given.
    """

    key: str
    signer: str
    files: int
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    trusted: bool

    @property
    def passed(self) -> bool:
        """Whether the files are those that were signed, by someone on the list if there is one."""
        who = bool(self.signer) if self.trusted else bool(self.key)
        return who and not (self.changed or self.missing)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**asdict(self), "passed": self.passed}


def sign(folder: Path, key: Path) -> tuple[int, str]:
    """Write ``SHA256SUMS`` and its signature into a folder; return files and fingerprint.

    Parameters
    ----------
    folder : Path
        Of a run or of the answer to a takedown request.
    key : Path
        A private key of OpenSSH, or a public one whose private part an agent holds.

    Raises
    ------
    InputError
        There is nothing to sign, a file is not as untrain wrote it, or `ssh-keygen` cannot sign
        with this key.
    """
    if not any((folder / name).is_file() for name in ("run.json", "record.json")):
        raise InputError(f"{folder} has neither run.json nor record.json: nothing to sign")
    _require_readable(key, "the key")
    checked = verify_files(folder)
    wrong = [name for name in (*checked.damaged, *checked.missing) if name not in (SUMS, SIGNATURE)]
    if wrong or checked.broken:
        named = one_line(", ".join(wrong[:3]) or "checksums.txt")
        raise InputError(
            f"{folder} is not as it was written ({named}): see `untrain verify {folder}`"
        )
    for name in (SUMS, SIGNATURE):
        _check_own(folder / name)
    sums = sums_of(folder)
    text = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    made = _ssh_keygen("sign", "-n", NAMESPACE, "-f", key.absolute(), data=text.encode())
    if made.returncode or b"BEGIN SSH SIGNATURE" not in made.stdout:
        raise InputError(f"{key} cannot sign: {_said(made)}")
    # In this order, as a list without a signature counts as somebody else's.
    write_text(folder / SIGNATURE, made.stdout.decode("ascii"))
    write_text(folder / SUMS, text)
    return len(sums), _key_of(folder / SIGNATURE, text.encode())


def verify_signature(folder: Path, signers: Path | None = None) -> Signed:
    """Check the signature of a folder and every file that it stands under; nothing is changed.

    Parameters
    ----------
    folder : Path
    signers : Path, optional
        Who may sign, as ``ssh-keygen`` wants it ("allowed signers"): a name and a public key in
        each line.

    Raises
    ------
    InputError
        There is no signature, or it or the list cannot be read.
    """
    _require_readable(folder / SIGNATURE, "the signature")
    if signers is not None:
        _require_readable(signers, "the list of signers")
    text = _read(folder / SUMS)
    signed = _parsed(text, folder / SUMS)
    here = sums_of(folder)
    return Signed(
        key=_key_of(folder / SIGNATURE, text),
        signer=_signer(folder / SIGNATURE, text, signers) if signers is not None else "",
        files=len(signed),
        changed=tuple(n for n, digest in signed.items() if here.get(n, digest) != digest),
        missing=tuple(name for name in signed if name not in here),
        added=tuple(name for name in here if name not in signed),
        trusted=signers is not None,
    )


def is_signed(folder: Path) -> bool:
    """Tell whether a folder has a signature, whatever it is worth."""
    return (folder / SIGNATURE).is_file()


def sums_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that a signature stands under, by name, in order.

    Raises
    ------
    InputError
        A file cannot be read, or has a name with line breaks, control characters or backslashes.
    """
    found = {}
    for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if not PLAIN.fullmatch(name) or not name.isprintable():
            raise InputError(f"{one_line(name)} in {folder} is no name that can be signed")
        try:
            with open_regular(path) as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name not in LEFT_OUT and path.is_file():
            yield path


def _parsed(data: bytes, path: Path) -> dict[str, str]:
    found = {}
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no list of checksums: it is not UTF-8") from None
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
        match = LINE.fullmatch(line)
        if match is None or ".." in Path(match[2]).parts or Path(match[2]).is_absolute():
            raise InputError(
                f"{path}, line {number}: expected a SHA-256, two spaces, and the name of a file "
                "below this folder"
            )
        found[match[2]] = match[1]
    return found


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, "TEXT")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _require_readable(path: Path, what: str) -> None:
    """Raise `InputError` unless a path leads to a regular file that may be read."""
    try:
        open_regular(path, "TEXT").close()
    except OSError as error:
        raise InputError(f"cannot read {what}, {path}: {error.strerror or error}") from error


def _check_own(path: Path) -> None:
    """Raise `InputError` if a file is there that `sign` would replace and did not write."""
    signature = path.with_name(SIGNATURE)
    if not path.exists() or expected(path):
        return
    if signature.is_file() and b"BEGIN SSH SIGNATURE" in read_bytes(signature):
        return
    raise InputError(f"{path} is there already, and untrain did not write it: move it elsewhere")


def _key_of(signature: Path, data: bytes) -> str:
    """Return kind and fingerprint of the key that signed these sums; empty if none did."""
    told = _ssh_keygen(
        *("check-novalidate", "-n", NAMESPACE, "-s", signature.absolute()), data=data
    )
    found = re.search(rb"with (\S+ key \S+)", told.stdout)
    return found[1].decode("ascii", "replace") if found and not told.returncode else ""


def _signer(signature: Path, data: bytes, signers: Path) -> str:
    """Return the first name on the list whose key signed these sums; empty if there is none."""
    place = ("-s", signature.absolute(), "-f", signers.absolute())
    named = _ssh_keygen("find-principals", *place, data=b"")
    for name in named.stdout.decode("utf-8", "replace").splitlines():
        told = _ssh_keygen("verify", "-n", NAMESPACE, "-I", name, *place, data=data)
        if told.returncode == 0:
            return name
    return ""


def _ssh_keygen(verb: str, *words: object, data: bytes) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise InputError(
            "signatures need ssh-keygen of OpenSSH (8.2 or newer), which is not installed"
        )
    command = [program, "-Y", verb, *map(str, words)]
    waits = None if verb == "sign" else SECONDS  # for a passphrase, or a touch of a token
    try:
        return subprocess.run(command, input=data, capture_output=True, timeout=waits)
    except subprocess.TimeoutExpired:
        raise InputError(f"ssh-keygen -Y {verb} did not end within {SECONDS} seconds") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    text = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
    return one_line(text) or f"ssh-keygen ended with {done.returncode}"
