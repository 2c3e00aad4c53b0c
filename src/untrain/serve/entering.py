"""The door: who has shown the token, for how long, and how often one may guess it."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response

COOKIE = "untrain"
LONG = 32
"""Characters of a token that nobody guesses, however often: the one that is made up has as many."""
AT_ONCE, EVERY = 10, 5.0
"""Wrong tokens that an address may send at once, then one in so many seconds."""
PEERS, SESSIONS = 10_000, 1000
"""Addresses that are remembered, and browsers that may be in: the latest."""


class Guesses:
    """How long an address has to wait until it may guess again.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._one = clock, threading.Lock()
        self._paid: OrderedDict[str, float] = OrderedDict()

    def wait(self, peer: str) -> float:
        """Return the seconds that an address has to wait; 0 if it may guess."""
        with self._one:
            paid = self._paid.get(_group(peer), 0.0)
        return max(0.0, paid - self._clock() - (AT_ONCE - 1) * EVERY)

    def wrong(self, peer: str) -> None:
        """Note that an address sent a wrong token."""
        group, now = _group(peer), self._clock()
        with self._one:
            self._paid[group] = max(self._paid.pop(group, 0.0), now) + EVERY
            if len(self._paid) > PEERS:
                self._paid.popitem(last=False)


class Door:
    """Lets those in who know the token.

    A browser that has shown it gets a random cookie, which ends when it leaves, or with this
    process. The right token opens the door also while its address has to wait, if it is too long to
    be guessed: so nobody can shut others out who have the same address.

    Parameters
    ----------
    token : str
    public : str, optional
        Where others find the page, such as ``https://untrain.example.org``: its cookies then come
        back only over TLS.
    guesses : Guesses, optional
    """

    def __init__(self, token: str, public: str | None = None, guesses: Guesses | None = None):
        self._token, self._public = token, urlsplit(public or "")
        self._guesses = guesses or Guesses()
        self._one = threading.Lock()
        self._inside: OrderedDict[bytes, None] = OrderedDict()

    def tried(self, given: str, peer: str) -> float | None:
        """Try a token: None if it is right, else the seconds until the next try."""
        right = hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())
        wait = self._guesses.wait(peer)
        if right and (not wait or len(self._token) >= LONG):
            return None
        if not wait:
            self._guesses.wrong(peer)
        return self._guesses.wait(peer)

    def bearer(self, headers: Headers) -> str | None:
        """Return the token that a script sends, right or wrong."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return given.strip() if scheme.lower() == "bearer" else None

    def inside(self, headers: Headers) -> bool:
        """Tell whether a browser is in."""
        shown = self._shown(headers)
        with self._one:
            return shown is not None and _digest(shown) in self._inside

    def enter(self, headers: Headers) -> Response:
        """Let a browser in."""
        shown = secrets.token_urlsafe(32)
        with self._one:
            self._inside[_digest(shown)] = None
            if len(self._inside) > SESSIONS:
                self._inside.popitem(last=False)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            *(self._name(headers), shown),
            secure=self._public.scheme == "https" and headers.get("host") == self._public.netloc,
            httponly=True,
            samesite="strict",
        )
        return answer

    def leave(self, headers: Headers) -> Response:
        """Let a browser out: its cookie is worth nothing any more."""
        shown = self._shown(headers)
        if shown is not None:
            with self._one:
                self._inside.pop(_digest(shown), None)
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(self._name(headers), httponly=True, samesite="strict")
        return answer

    def _name(self, headers: Headers) -> str:
        """Return the name of the cookie: browsers share cookies among the ports of a machine."""
        port = headers.get("host", "").rpartition(":")[2]
        return f"{COOKIE}-{port}" if port.isdecimal() else COOKIE

    def _shown(self, headers: Headers) -> str | None:
        try:
            cookie: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        found = cookie.get(self._name(headers))
        return None if found is None else found.value


def _digest(shown: str) -> bytes:
    """Return what a cookie is looked up by: how long that takes says nothing of the cookie."""
    return hashlib.sha256(shown.encode("utf-8", "replace")).digest()


def _group(peer: str) -> str:
    """Return the addresses that count as one: of IPv6 64 bits, a network that one person has."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return peer
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
