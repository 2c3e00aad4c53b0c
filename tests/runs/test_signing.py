"""Signatures under the files of a run: by OpenSSH, checked with and without untrain."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.signing import make_key
from untrain.core.errors import InputError
from untrain.core.files import write_json
from untrain.runs.signing import SIGNATURE, SUMS, sign, sums_of, verify_signature

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="needs ssh-keygen of OpenSSH"
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of Anna and Ben."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("anna", "ben"):
        make_key(folder, name)
    return folder


@pytest.fixture
def run(tmp_path: Path, keys: Path) -> Path:
    """The folder of a run of three files, signed by Anna."""
    folder = tmp_path / "run"
    (folder / "results").mkdir(parents=True)
    for name in ("run.json", "results/verdicts.parquet", "a picture.png", "log.txt", ".lock"):
        (folder / name).write_text(name)
    assert sign(folder, keys / "anna")[0] == 3
    return folder


def test_what_was_signed_is_known_again(run: Path, keys: Path) -> None:
    found = verify_signature(run, keys / "anna.txt")
    assert found.passed and found.signer == "anna@example.org" and found.files == 3
    (run / "log.txt").write_text("it goes on")  # no result
    assert verify_signature(run, keys / "anna.txt") == found
    moved = run.rename(run.with_name("moved"))
    assert verify_signature(moved, keys / "anna.txt") == found


def test_other_programs_check_it_too(run: Path, keys: Path) -> None:
    verify = ["ssh-keygen", "-Y", "verify", "-n", "untrain", "-I", "anna@example.org"]
    verify += ["-f", str(keys / "anna.txt"), "-s", SIGNATURE]
    sums = (run / SUMS).read_bytes()
    assert subprocess.run(verify, cwd=run, input=sums, capture_output=True).returncode == 0
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "-c", SUMS], cwd=run, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.count(": OK") == 3


def test_whatever_is_changed_is_noticed(run: Path, keys: Path) -> None:
    anna = keys / "anna.txt"
    assert not verify_signature(run, keys / "ben.txt").passed
    (run / "added.csv").write_text("later")
    assert verify_signature(run, anna).passed and verify_signature(run, anna).added == (
        "added.csv",
    )
    (run / "results/verdicts.parquet").write_text("other")
    (run / "a picture.png").unlink()
    found = verify_signature(run, anna)
    assert not found.passed and found.signer
    assert found.changed == ("results/verdicts.parquet",) and found.missing == ("a picture.png",)
    sums = sums_of(run)  # whoever changed the files changes the sums as well
    (run / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    found = verify_signature(run, anna)
    assert not found.passed and not found.key and not found.signer and not found.changed


def test_a_signature_for_something_else_is_none(run: Path, keys: Path) -> None:
    words = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(keys / "anna")]
    done = subprocess.run(words, input=(run / SUMS).read_bytes(), capture_output=True)
    (run / SIGNATURE).write_bytes(done.stdout)
    assert not verify_signature(run, keys / "anna.txt").passed


@pytest.mark.parametrize(
    "line", ["", "abc  run.json", f"{'0' * 64}  ../../etc/passwd", f"{'0' * 64}  /etc/passwd"]
)
def test_sums_that_are_none_are_refused(run: Path, line: str) -> None:
    (run / SUMS).write_text(f"{line}\n")
    with pytest.raises(InputError, match="line 1: expected a SHA-256"):
        verify_signature(run)


def test_names_that_would_hide_others_are_not_signed(run: Path, keys: Path) -> None:
    (run / "a\nb.txt").write_text("two lines")
    with pytest.raises(InputError, match="no name that can be signed"):
        sign(run, keys / "anna")


def test_a_damaged_run_is_not_signed(run: Path, keys: Path) -> None:
    write_json(run / "results" / "summary.json", {"effect": 1})
    assert sign(run, keys / "anna")[0] == 4
    (run / "results" / "summary.json").write_text("{}")
    with pytest.raises(InputError, match=r"not as it was written \(results/summary.json\)"):
        sign(run, keys / "anna")
