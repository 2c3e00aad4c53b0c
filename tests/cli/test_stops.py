"""Signals that end a command: a closing line and the code that shells expect."""

from __future__ import annotations

import signal

import pytest

from tests.helpers.commands import Untrain


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, "stopped; run the same command again"),
        (signal.SIGTERM, 143, "stopped (SIGTERM); run the same command again"),
        (signal.SIGHUP, 129, "stopped (SIGHUP); run the same command again"),
    ],
)
def test_a_signal_closes_with_a_line(
    untrain: Untrain, monkeypatch: pytest.MonkeyPatch, number: int, code: int, told: str
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr("untrain.doctor.examine", lambda *a, **k: signal.raise_signal(number))
    said = untrain("doctor")
    assert (said.code, told in said.err) == (code, True)
    assert signal.getsignal(number) == before
