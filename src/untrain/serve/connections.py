"""What a connection may take: time to send a request, time to read an answer, a place among others.

uvicorn waits for ever for the rest of a request, and for somebody who does not read. Here a
connection ends that is too slow, and where there are too many the one that has waited longest for a
request makes room, so that connections that say nothing keep nobody out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: 34\r\n\r\ntoo many people ask: try it later\n"
)


@dataclass(frozen=True)
class Limits:
    """What one connection and all of them may take.

    Attributes
    ----------
    head : float
        Seconds until the head of a request is there, also of one after another.
    body : float
        Seconds until the rest of it is there.
    rate : int
        Bytes a second of a body, and of an answer, on average beyond the first seconds.
    stall : float
        Seconds that an answer may wait for somebody who reads nothing of it.
    connections : int
        At once.
    look : float
        Seconds between looks at a connection.
    """

    head: float = 10.0
    body: float = 120.0
    rate: int = 32 * 2**10
    stall: float = 20.0
    connections: int = 512
    look: float = 1.0


def limits_here(most: int = 512, own: int = 128) -> Limits:
    """Return the limits, with no more connections than this process may open beside its files."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return Limits(connections=most)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + own
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    few = most if soft == resource.RLIM_INFINITY else max(16, min(most, soft - own))
    return Limits(connections=few)


class Connection(H11Protocol):
    """A connection of a browser, watched while it is open."""

    limits = Limits()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._since = self._stuck = self.loop.time()
        self._received, self._begun, self._peak = 0, False, 0
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or say that there are too many."""
        super().connection_made(transport)
        self._look = self.loop.call_later(self.limits.look, self._watch)
        if len(self.connections) > self.limits.connections and not self._make_room():
            transport.write(BUSY)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        if self.transport.is_closing():  # it was told that there are too many
            return
        if not self._begun:
            self._begun, self._since, self._received = True, self.loop.time(), 0
        self._received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._begun, self._since = False, self.loop.time()
        super().on_response_complete()

    def resume_writing(self) -> None:
        """Go on with an answer: somebody reads it."""
        self._stuck, self._peak = self.loop.time(), 0
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """Whether the head of a request is not there yet."""
        return self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE

    def _watch(self) -> None:
        """End the connection if it is too slow; look again later if not."""
        if self._too_slow(self.loop.time()):
            self.transport.abort()
        else:
            self._look = self.loop.call_later(self.limits.look, self._watch)

    def _too_slow(self, now: float) -> bool:
        limits, taken = self.limits, now - self._since
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self._stuck, self._peak = now, 0
        self._peak = max(self._peak, unsent)
        if now - self._stuck > limits.stall + self._peak / limits.rate:
            return True
        if self.waits:
            return taken > limits.head
        if self.conn.their_state is h11.SEND_BODY:
            return taken > min(limits.body, limits.head + self._received / limits.rate)
        return False  # it waits for us

    def _make_room(self) -> bool:
        """End the connection that has waited longest for a request; tell whether there was one."""
        others: list[Connection] = [
            each
            for each in self.connections
            if isinstance(each, Connection) and each is not self and each.waits
        ]
        if not others:
            return False
        longest = min(others, key=lambda each: each._since)
        self.connections.discard(longest)  # before the transport says so
        longest.transport.abort()
        return True
