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
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # tests may have been started by nohup
    monkeypatch.setattr("untrain.doctor.examine", lambda *a, **k: signal.raise_signal(number))
    try:
        said = untrain("doctor")
        assert (said.code, told in said.err) == (code, True)
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, before)


def test_a_signal_that_is_ignored_stays_so(
    untrain: Untrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr("untrain.doctor.examine", lambda *a, **k: signal.raise_signal(1) or [])
    try:
        assert "stopped" not in untrain("doctor").err
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
