"""``untrain sign``, and what ``untrain verify`` says of a signature."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.commands import Untrain
from tests.helpers.signing import make_key
from untrain.runs.signing import SIGNATURE

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="needs ssh-keygen of OpenSSH"
)


def test_signing_and_verifying(tmp_path: Path, untrain: Untrain) -> None:
    run, keys = tmp_path / "run", tmp_path / "keys"
    for folder in (run, keys):
        folder.mkdir()
    (run / "run.json").write_text("{}")
    for name in ("anna", "ben"):
        make_key(keys, name)
    assert untrain("sign", run, "--key", keys / "ben").code == 0
    said = untrain("verify", run, "--signers", keys / "ben.txt", "--json")
    assert said.code == 0 and json.loads(said.out)["signature"]["signer"] == "ben@example.org"
    said = untrain("verify", run, "--signers", keys / "anna.txt")
    assert said.code == 1 and "not on the list" in said.out
    (run / SIGNATURE).unlink()
    said = untrain("verify", run, "--signers", keys / "anna.txt")
    assert said.code == 2 and "signature" in said.err
    for wrong in ("nowhere", "anna.txt"):
        said = untrain("sign", run, "--key", keys / wrong)
        assert said.code == 2 and wrong in said.err and not (run / SIGNATURE).exists()
    said = untrain("sign", keys, "--key", keys / "anna")
    assert said.code == 2 and "nothing to sign" in said.err
