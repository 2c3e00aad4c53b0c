"""The port of the page: taken before anything is opened, which needs only the standard library."""

from __future__ import annotations

import errno
import os
import socket

from untrain.core.errors import InputError

PORT = 8808
TRIED = 20
"""Ports from `PORT` on that are tried before any that is free."""


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; its own address says at which port.

    Parameters
    ----------
    host : str
    port : int, optional
        0 is any free port; left out, the first free one from `PORT` on.

    Raises
    ------
    InputError
        The port is taken, or the address is not this machine's.
    """
    asked = [*range(PORT, PORT + TRIED), 0] if port is None else [port]
    for each in asked:
        try:
            return _bound(host, each)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            if taken and each != asked[-1]:
                continue
            other = "another program has it: choose another, or --port 0 for any that is free"
            words = other if taken else str(error)
            raise InputError(f"cannot open {host} port {each}: {words}") from None
    raise AssertionError  # the last one returned or raised


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once (TCP_NODELAY) only where it is told that this is TCP;
    # else each picture of a page waits 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name != "nt":  # there it would take the port from another program
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # a browser that opens at once waits instead of being refused
    except BaseException:
        listening.close()
        raise
    return listening
