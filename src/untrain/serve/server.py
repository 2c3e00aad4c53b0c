"""The server: a socket that listens, the application behind it, and an end that comes when asked.

Of uvicorn only what is needed: one way of speaking HTTP, whatever else is installed; no proxy is
believed, nothing of an address (which may name what somebody looks for) goes to a log.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from untrain.core.errors import InputError
from untrain.serve.app import make_app
from untrain.serve.connections import Connection, Limits, limits_here
from untrain.serve.safety import ANY
from untrain.serve.shelf import Shelf

SHORTEST = 16
"""Characters of a token that somebody chose."""
HEAD_BYTES = 65_536
EXAMPLE = "untrain.example.org"
PATIENCE = 5
"""Seconds that an answer has to come to its end after somebody stopped the server."""


def serve(
    shelf: Shelf,
    host: str,
    listening: socket.socket,
    token: str | None,
    opened: Callable[..., None],
    public: str | None = None,
) -> None:
    """Serve until it is stopped.

    Parameters
    ----------
    host : str
    listening : socket
        As `untrain.serve.listening.listen` returns it.
    token : str, optional
        Needed where others can reach the page; made then, if left out.
    opened : callable
        Told the address when it answers, with the token behind ``#``, which no browser sends; of
        a host that stands for all of the machine's addresses, this machine's own and then those.
    public : str, optional
        Where others find the page behind a proxy.

    Raises
    ------
    InputError
        The token can be guessed, or the public address is none.
    """
    address, port = listening.getsockname()[:2]
    here = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if token is not None and len(token) < SHORTEST:
        raise InputError(
            f"the token has {len(token)} characters; expected at least {SHORTEST}, or leave it out"
        )
    if public is not None:
        public = origin_of(public)
    if token is None and (public or not here):
        token = secrets.token_urlsafe(24)
    app = make_app(shelf, names_of(host, address, port), token, public)
    behind = f"#token={token}" if token else ""
    own = [f"http://{shown}:{port}" for shown in shown_of(host, address)]
    opened(*(f"{each}/{behind}" for each in ([public] if public else own)))
    try:
        with listening:
            make_server(app).run(sockets=[listening])
    finally:
        shelf.requests.close()  # also where somebody could not wait for the end
        _leave()


def make_server(app: ASGIApp, limits: Limits | None = None) -> uvicorn.Server:
    """Return the server of an application; left out, the limits are those of this machine."""

    class Limited(Connection):
        pass

    Limited.limits = limits or limits_here()
    config = uvicorn.Config(
        app,
        http=Limited,
        ws="none",
        loop="asyncio",
        lifespan="on",
        interface="asgi3",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=max(1, int(Limited.limits.head)),
        timeout_graceful_shutdown=PATIENCE,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    return uvicorn.Server(config)


def origin_of(address: str) -> str:
    """Return scheme, name and port of an address, as browsers send them in ``Origin``.

    Raises
    ------
    InputError
        It is no address of a whole site.
    """
    try:
        parts = urlsplit(address)
        name, port = parts.hostname, parts.port
    except ValueError:
        name = port = None
    if not name or parts.scheme not in ("http", "https") or parts.username is not None:
        raise InputError(f"the public address is {address}; expected one such as https://{EXAMPLE}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InputError(
            f"the public address is {address}; expected a name of its own, such as "
            f"https://{EXAMPLE}: the page does not work below a path"
        )
    shown = f"[{name}]" if ":" in name else name
    usual = port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{parts.scheme}://{shown}" + ("" if usual else f":{port}")


def names_of(host: str, address: str, port: int) -> set[str]:
    """Return what the header ``Host`` may be.

    Parameters
    ----------
    host, address : str
        As they were asked for, and as the socket has them.
    port : int
    """
    at = ipaddress.ip_address(address.partition("%")[0])
    names = {host, address}
    if at.is_loopback:
        names |= {"127.0.0.1", "localhost", "::1"}
    if at.is_unspecified:
        names |= {ANY, "localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
    known = {f"[{name}]" if ":" in name else name for name in names}
    usual = known - {ANY} if port == 80 else set()  # browsers leave this port out
    return {f"{name}:{port}" for name in known} | usual


def shown_of(host: str, address: str) -> list[str]:
    """Return the hosts to open a server by, as they stand in its addresses.

    ``0.0.0.0`` and ``::`` cannot be opened: they stand for this machine, and for the address by
    which others in its network reach it.
    """
    at = ipaddress.ip_address(address.partition("%")[0])
    found = [host]
    if at.is_unspecified:
        found = ["127.0.0.1" if at.version == 4 else "::1"]
        family = socket.AF_INET if at.version == 4 else socket.AF_INET6
        elsewhere = "192.0.2.1" if at.version == 4 else "2001:db8::1"  # of documentation
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((elsewhere, 9))  # which sends nothing, and chooses the own address
            found.append(asked.getsockname()[0])
    return [f"[{each}]" if ":" in each else each for each in dict.fromkeys(found)]


def _leave() -> None:
    """End the process if a search still goes on, which nobody waits for; nothing is half written.

    What is written is renamed into place, so that it is whole or not there.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    until = time.monotonic() + 1
    others = [each for each in threading.enumerate() if not each.daemon][1:]
    for each in others:  # most are about to end
        each.join(max(0.0, until - time.monotonic()))
    if any(each.is_alive() for each in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
