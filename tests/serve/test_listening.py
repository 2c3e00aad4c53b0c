"""A port that is taken is told before anything is opened."""

from __future__ import annotations

import socket

import pytest

from untrain.core.errors import InputError
from untrain.serve import listening
from untrain.serve.listening import listen
from untrain.serve.server import shown_of

HERE = "127.0.0.1"


def test_a_port_that_is_taken_is_told_with_a_way_out() -> None:
    with listen(HERE, 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}: another program .* --port 0"):
            listen(HERE, port)


def test_without_a_wish_another_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(HERE, 0) as first:
        monkeypatch.setattr(listening, "PORT", first.getsockname()[1])
        monkeypatch.setattr(listening, "TRIED", 1)
        with listen(HERE, None) as second:
            assert second.getsockname()[1] != first.getsockname()[1]


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(InputError, match=r"192\.0\.2\.1 port 8808: .*assign"):
        listen("192.0.2.1", None)


def test_what_is_printed_can_be_opened() -> None:
    assert shown_of("127.0.0.1", "127.0.0.1") == ["127.0.0.1"]
    assert shown_of("::1", "::1") == ["[::1]"]
    every = shown_of("0.0.0.0", "0.0.0.0")
    assert every[0] == "127.0.0.1" and "0.0.0.0" not in every


def test_small_answers_are_sent_at_once() -> None:
    # asyncio sets TCP_NODELAY on what says that it is TCP; else each picture waits 40 ms.
    with listen(HERE, 0) as bound, socket.create_connection(bound.getsockname()[:2]):
        accepted, _ = bound.accept()
        assert accepted.proto == socket.IPPROTO_TCP
        accepted.close()
