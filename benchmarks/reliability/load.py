"""The page of ``untrain serve`` under load: many people, and slow connections beside them.

The server is a process of its own, and so is the client, which speaks HTTP over plain sockets. Each
person turns pages with the pictures on them and now and then asks about a picture of their own,
with five seconds of thought between; then the same beside connections that send a byte a second
(slowloris) or read one.

    python benchmarks/reliability/load.py
    python benchmarks/reliability/load.py --catalog fashion-product-images-small.zip --name load-44k
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from storing import store

PAGES = (
    "/",
    "/browse?page={n}",
    "/browse/groups",
    "/browse?q=red+shirt",
    "/images/{n}",
    "/kept?i={n}",
)
PICTURES = "/thumbnails/320/{n}"
PATIENCE = 60.0
"""Seconds until a person gives up."""
REST = 15
"""Seconds until memory and files are looked at again."""


# The client ------------------------------------------------------------------------------------


class Wrong(Exception):
    """An answer that is none."""


class Person:
    """One browser: a connection that is kept, and opened again where it was ended."""

    def __init__(self, host: str, port: int, told: Told) -> None:
        self.host, self.port, self.told = host, port, told
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Return status and body; once more where the kept connection had been ended meanwhile."""
        for kept in (self.streams is not None, False):
            try:
                return await asyncio.wait_for(self._send(method, path, body), PATIENCE)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.close()
                if not kept:
                    raise
        raise AssertionError

    async def _send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self.streams
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
        head += f"Origin: http://{self.host}:{self.port}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        content = await reader.readexactly(int(fields.get("content-length", 0)))
        if fields.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), content

    def close(self) -> None:
        """End the connection."""
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None

    async def timed(self, kind: str, *requests: tuple[str, str, bytes]) -> bytes:
        """Send requests one after another and note the time of all of them, or what went wrong."""
        begun, content = time.perf_counter(), b""
        try:
            for method, path, body in requests:
                if "{key}" in path:
                    path = path.format(key=json.loads(content)["key"])
                status, content = await self.send(method, path, body)
                if status != 200:
                    raise Wrong(f"{kind}: {status}")
        except Exception as error:
            self.close()
            self.told.errors[str(error) or f"{kind}: {type(error).__name__}"] += 1
            return b""
        self.told.times[kind].append(time.perf_counter() - begun)
        return content


class Told:
    """What was measured: seconds by kind, and errors."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self.errors: Counter[str] = Counter()


def uploads(n: int = 32) -> list[bytes]:
    """Return pictures as PNG: smooth noise, 256 pixels a side."""
    draw, made = np.random.default_rng(0), []
    for _ in range(n):
        small = Image.fromarray(draw.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        small.resize((256, 256), Image.Resampling.BICUBIC).save(buffer, "PNG")
        made.append(buffer.getvalue())
    return made


async def use(person: Person, until: float, images: int, sent: list[bytes], think: float) -> None:
    """Turn pages, look at pictures and ask, until a time."""
    draw = random.Random(id(person))
    await asyncio.sleep(draw.uniform(0, 2 * think))
    while time.monotonic() < until:
        if draw.random() < 0.1:
            own = draw.choice(sent) + draw.randbytes(8)  # another file each time
            await ask(person, own)
        else:
            page = draw.choice(PAGES).format(n=draw.randrange(images))
            await person.timed("a page", ("GET", page, b""))
            for _ in range(6):
                path = PICTURES.format(n=draw.randrange(images))
                await person.timed("a picture", ("GET", path, b""))
        await asyncio.sleep(draw.uniform(0, 2 * think))
    person.close()


async def ask(person: Person, content: bytes, kind: str = "asking, with the upload") -> None:
    """Send a picture and have the answer."""
    requests = (("POST", "/pictures?name=mine.png", content), ("GET", "/answer?p={key}", b""))
    await person.timed(kind, *requests)


async def dawdle(host: str, port: int, reads: bool, until: float, ended: Counter[str]) -> None:
    """Hold a connection: read an answer, or send a request, a byte a second; again when it ends."""
    path = "/browse" if reads else "/"
    head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    while time.monotonic() < until:
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        try:
            await loop.sock_connect(one, (host, port))
            if reads:
                await loop.sock_sendall(
                    one, b"GET /browse HTTP/1.1\r\n" + head.split(b"\r\n", 1)[1]
                )
            for byte in head * 1000:
                if time.monotonic() > until:
                    return
                if not reads:
                    await loop.sock_sendall(one, bytes([byte]))
                await asyncio.sleep(1)
                if reads and not await loop.sock_recv(one, 1):
                    raise ConnectionResetError
        except OSError:
            ended["slow readers" if reads else "slow senders"] += 1
        finally:
            one.close()


async def client(address: str, people: int, seconds: float, think: float, slow: bool) -> Any:
    """Use the page; return what was measured, as JSON holds it."""
    at = urlsplit(address)
    host, port = str(at.hostname), int(at.port or 80)
    told, ended, sent = Told(), Counter[str](), uploads()
    one = Person(host, port, told)
    images = int((await one.timed("", ("GET", "/state", b""))) and await _images(one))
    told.times.clear()
    if people == 1:
        for own in sent[:20]:
            await ask(one, own + os.urandom(8), "one person asks")
    else:
        until = time.monotonic() + seconds
        others = [dawdle(host, port, n < 20, until, ended) for n in range(70 if slow else 0)]
        users = [use(Person(host, port, told), until, images, sent, think) for _ in range(people)]
        await asyncio.gather(*users, *others)
    one.close()
    return {"times": told.times, "errors": told.errors, "ended": ended}


async def _images(person: Person) -> int:
    """Return how many images there are, as the first page says."""
    import re

    _, page = await person.send("GET", "/")
    found = re.search(rb"of ([\d,]+) training images", page)
    assert found, "the page does not say how many images there are"
    return int(found[1].replace(b",", b""))


# The server ------------------------------------------------------------------------------------


class Server:
    """``untrain serve`` in a process of its own."""

    def __init__(self, arguments: list[str]) -> None:
        start = [sys.executable, "-c", "from untrain.cli import main; main()", "serve", *arguments]
        self.process = subprocess.Popen(
            [*start, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        self.address = next(word for word in line.split() if word.startswith("http"))

    def ready(self) -> None:
        """Wait until the catalogue is open."""
        from urllib.request import urlopen

        while True:
            with urlopen(f"{self.address}state") as answer:
                state = json.load(answer)
            if state["ready"]:
                return
            assert not state["error"], state["error"]
            time.sleep(0.2)

    def sizes(self) -> tuple[float, int, float]:
        """Return MiB of memory, with its decoders; open files; seconds of CPU."""
        here = Path("/proc") / str(self.process.pid)
        children = (here / "task" / here.name / "children").read_text().split()
        pages = 0
        for each in (here.name, *children):
            with contextlib.suppress(OSError):
                pages += int((Path("/proc") / each / "statm").read_text().split()[1])
        spent = (here / "stat").read_text().rpartition(")")[2].split()
        seconds = (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")
        return (
            pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            len(list((here / "fd").iterdir())),
            seconds,
        )

    def stop(self) -> float:
        """End it as Ctrl-C does; return the seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return time.monotonic() - begun


def measured(server: Server, people: int, seconds: float, think: float, slow: bool) -> Any:
    """Have a client process use the page; return what it measured."""
    command = [sys.executable, __file__, "--client", server.address, "--people", str(people)]
    command += ["--seconds", str(seconds), "--think", str(think), *(["--slow"] if slow else [])]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def spread(times: list[float]) -> list[Any]:
    """Return number, median, 99th percentile and maximum, in milliseconds."""
    if not times:
        return [0, None, None, None]
    return [len(times), *(round(1000 * float(np.quantile(times, q))) for q in (0.5, 0.99, 1))]


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalog", default="rendered")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=5.0, help="seconds between, on average")
    parser.add_argument("--name", default="load", help="of the JSON; empty: store nothing")
    parser.add_argument("--slow", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        asked = client(given.client, given.people, given.seconds, given.think, given.slow)
        print(json.dumps(asyncio.run(asked)))
        return
    with tempfile.TemporaryDirectory() as place:
        server = Server(["--catalog", given.catalog, "--runs", str(Path(place) / "runs")])
        try:
            rows = list(phases(server, given))
            rows.append(["seconds until it ended (Ctrl-C)", round(server.stop(), 1), *[None] * 4])
        finally:
            server.process.kill()
    for row in rows:
        print("  ".join("–" if cell is None else str(cell) for cell in row))
    if given.name:
        heads = ("what", "number", "p50, ms", "p99, ms", "longest, ms", "errors")
        print(store(given.name, rows, heads))


def phases(server: Server, given: argparse.Namespace) -> Any:
    """Yield the rows of the table."""
    server.ready()
    measured(server, 1, 0, 0, False)  # starts the decoder, as the first upload does
    alone = measured(server, 1, 0, 0, False)
    yield ["one person asks", *spread(alone["times"].get("one person asks", [])), 0]
    before = server.sizes()
    for slow in (False, True):
        beside = ", beside 20 slow readers and 50 slow senders" if slow else ""
        at, begun = server.sizes(), time.monotonic()
        found = measured(server, given.people, given.seconds, given.think, slow)
        took, sizes = time.monotonic() - begun, server.sizes()
        for kind in sorted(found["times"]):
            wrong = sum(n for said, n in found["errors"].items() if said.startswith(kind))
            yield [f"{given.people} people: {kind}{beside}", *spread(found["times"][kind]), wrong]
        wrong = sum(found["errors"].values())
        number = sum(map(len, found["times"].values()))
        yield [f"all of it{beside}", number, *[None] * 3, wrong]
        for said, n in found["errors"].items():
            print(f"  {n} × {said}", file=sys.stderr)
        share = 100 * (sizes[2] - at[2]) / took
        yield [f"processor of the server, % of one core{beside}", round(share), *[None] * 4]
        for who, n in found["ended"].items():
            yield [f"{who} that the server ended", n, *[None] * 4]
    time.sleep(REST)  # connections that say nothing are ended
    after = server.sizes()
    for what, i in (("MiB of memory, with decoders", 0), ("open files", 1)):
        yield [f"{what}, before", round(before[i]), *[None] * 4]
        yield [f"{what}, after", round(after[i]), *[None] * 4]


if __name__ == "__main__":
    main()
