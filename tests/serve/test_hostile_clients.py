"""Who asks may be hostile, and so may the catalogue and the runs: over real sockets, and by route.

What is asked of every address is made from the table of routes, so that a new one is asked, too.
"""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from tests.helpers.pages import HOST, png
from tests.helpers.reports import make_run
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError

pytestmark = pytest.mark.external

SCRIPT = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
SECRET = "nobody may read this"
EVIL = [
    "..", ".", "...", "../../secret.txt", "..\\..\\secret.txt", "/etc/passwd", "%2e%2e", "\0",
    "a\0b", "a\nb", "\x1b[2J", "a" * 300, "ä" * 200, "9" * 5000, "-1", "0", "1e9", "NaN",
    "report.html", "\u202e", "\ufffe", "CON", "a:b", "~root", "*", "$(id)", SCRIPT, "%",
    "%zz", "image:", "",
]  # fmt: skip


@pytest.fixture(scope="module")
def site(photos: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page beside runs and over a catalogue that somebody hostile made."""
    testing = pytest.importorskip("starlette.testclient", reason="needs untrain[serve] and httpx")
    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    place = tmp_path_factory.mktemp("place")
    (place / "secret.txt").write_text(SECRET)
    run = make_run(place / "runs" / "first")
    named = place / "runs" / SCRIPT.replace("/", "")
    shutil.copytree(run, named)
    leading_out = place / "runs" / "links"
    shutil.copytree(run, leading_out)
    figures = leading_out / "results" / "figures"
    figures.mkdir(exist_ok=True)
    picture = leading_out / "queries" / "p00" / "0.png"
    for path in (leading_out / "report.html", figures / "out.svg", picture):
        path.unlink(missing_ok=True)
        path.symlink_to(place / "secret.txt")
    captions = [f"{SCRIPT} {caption}" for caption in photos.captions]
    attributes = photos.attributes.assign(brand=SCRIPT)
    hostile = replace(photos, name=SCRIPT, captions=captions, attributes=attributes)
    shelf = Shelf(lambda: (hostile, None), None, place / "runs")
    app = make_app(shelf, [HOST])
    with testing.TestClient(app, f"http://{HOST}", raise_server_exceptions=False) as client:
        while not client.get("/state").json()["ready"]:
            time.sleep(0.02)
        client.routes = app.app.routes
        yield client


def addresses(site: Any, values: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the method and an address of every route: each parameter with each value in turn."""
    known = {"run": "first", "model": "A", "prompt": "p00", "number": "0", "side": "320"}
    for route in site.routes:
        names = re.findall(r"{(\w+)(?::\w+)?}", route.path)
        plain = {name: known.get(name, "0") for name in names}
        for name, value in product(names, values) if names else [("", "")]:
            filled = {**plain, name: quote(value, safe="")}
            path = re.sub(r"{(\w+)(?::\w+)?}", lambda found, f=filled: f[found[1]], route.path)
            for method in route.methods - {"HEAD"}:
                yield method, path


def test_no_value_in_a_path_leads_out_or_breaks_anything(site: Any) -> None:
    asked = list(addresses(site, EVIL))
    assert len(asked) > 20 * len(EVIL)
    for method, path in asked:
        answer = site.request(method, path, follow_redirects=False)
        assert answer.status_code < 500, (method, path)
        assert SECRET not in answer.text and "root:" not in answer.text, path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/answer", "p top"),
        ("/answer.csv", "p only prompt"),
        ("/browse", "q only page"),
        ("/browse/groups", "by"),
        ("/browse/copies", "near page"),
        ("/kept", "i"),
        ("/kept.csv", "i"),
        ("/compare", "a b"),
        ("/takedowns", "i"),
    ],
)
def test_no_value_in_a_query_breaks_anything(
    site: Any, photos: Catalog, path: str, names: str
) -> None:
    for name, value in product(names.split(), EVIL):
        filled = {"p": f"image:{photos.ids[0]}", "a": "first", "b": "links", name: value}
        answer = site.get(path, params=filled)
        assert answer.status_code < 500, (name, value)
        assert SECRET not in answer.text


def test_links_of_a_run_do_not_lead_out(site: Any) -> None:
    for path in ("report", "figures/out.svg", "pictures/A/p00/0"):
        answer = site.get(f"/runs/links/{path}")
        assert answer.status_code == 404 and SECRET not in answer.text, path


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8808"},
        {"host": f"{HOST}.evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://["},
        # A browser that hides the origin still says this; a form that is sent navigates.
        {
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        },
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_nothing_is_changed_for_another_site(site: Any, headers: dict[str, str]) -> None:
    changing = [asked for asked in addresses(site, ["0"]) if asked[0] != "GET"]
    assert len(changing) >= 4
    for method, path in changing:
        answer = site.request(method, path, headers=headers, content=b"")
        assert answer.status_code in (403, 421), (method, path)


def test_nothing_is_told_to_who_has_no_token(site: Any, photos: Catalog, tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    app = make_app(Shelf(lambda: (photos, None), None, tmp_path), [HOST], token="long enough")
    client = TestClient(app, f"http://{HOST}")
    for method, path in addresses(site, ["0"]):
        if not path.startswith(("/static/", "/favicon.ico")):
            assert client.request(method, path).status_code == 403, (method, path)


def test_every_answer_says_what_it_may_do(site: Any) -> None:
    for method, path in addresses(site, ["0", "..", "first"]):
        headers = site.request(method, path, follow_redirects=False).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors" in policy, path
        assert "'unsafe-inline'" not in policy or "sandbox" in policy, path
        for name, value in (
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ):
            assert headers[name] == value, (path, name)
        assert "public" not in headers["cache-control"]


def test_an_error_of_ours_has_the_headers_and_no_trace(site: Any, monkeypatch: Any) -> None:
    from untrain.serve.running import Running

    def broken(*given: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(Running, "_named", broken)
    answer = site.get("/runs/first")
    assert answer.status_code == 500
    assert SECRET not in answer.text and "content-security-policy" in answer.headers


def test_scripts_in_a_catalogue_and_in_runs_stay_text(site: Any, photos: Catalog) -> None:
    key = site.post(
        "/pictures", params={"name": SCRIPT}, content=png(np.asarray(photos.image(photos.ids[0])))
    ).json()["key"]
    named = quote(SCRIPT.replace("/", ""), safe="")
    seen = 0
    for path in (
        "/", "/browse", f"/browse?q={quote(SCRIPT)}", f"/browse?only=brand:{quote(SCRIPT)}",
        "/browse/groups?by=brand", "/browse/copies", "/images/0", "/kept?i=0&i=1", "/runs",
        f"/runs/{named}", f"/compare?a=first&b={named}", "/takedowns?i=0",
        f"/answer?p={key}&prompt={quote(SCRIPT)}&only=brand:{quote(SCRIPT)}",
        f"/answer.html?p={key}", f"/answer?p={quote(SCRIPT)}", f"/answer.{named}?p={key}",
        f"/runs/{quote(SCRIPT)}",
        f"/browse/groups?by={quote(SCRIPT)}", f"/compare?a={named}&b={named}",
    ):  # fmt: skip
        text = site.get(path).text
        assert "<script>alert" not in text and "<img src=x" not in text, path
        seen += "&lt;script&gt;alert" in text
    assert seen >= 10


# Pictures and requests --------------------------------------------------------------------------


def test_what_decodes_may_die_and_is_made_again(photos: Catalog) -> None:
    from untrain.serve.decoding import Decoder

    decoder, good = Decoder(1), png(np.asarray(photos.image(photos.ids[0])))
    try:
        assert decoder(good).shape == (32, 32, 3)
        (process,) = decoder._all[0]._pool._processes.values()  # type: ignore[union-attr]
        process.kill()
        process.join()
        assert decoder(good).shape == (32, 32, 3)
        with pytest.raises(InputError, match="damaged"):
            decoder(good[: len(good) // 2])
    finally:
        decoder.close()


def _greedy(size: int, most: int) -> None:
    """Take memory; ends with 3 if it may not, and with 4 if it may write a file."""
    import sys

    from untrain.serve.apart import confine

    confine(most)
    try:
        bytearray(size)
    except MemoryError:
        sys.exit(3)


@pytest.mark.slow
def test_what_decodes_has_only_the_memory_it_needs() -> None:
    pytest.importorskip("resource", reason="this system limits no memory")
    import multiprocessing

    spawn, codes = multiprocessing.get_context("spawn"), []
    for size in (2**20, 2**30):
        process = spawn.Process(target=_greedy, args=(size, 2**28))
        process.start()
        process.join()
        codes.append(process.exitcode)
    assert codes == [0, 3]


def test_what_was_sent_is_listed_without_being_decoded(tmp_path: Path, monkeypatch: Any) -> None:
    from untrain.serve.requested import Order, Place, Requests, Sent

    requests = Requests(tmp_path / "requests", tmp_path / "takedowns")
    monkeypatch.setattr(Requests, "work", lambda self, name, order: None)
    name = requests.take(
        [Sent("b.png", b"1"), Sent("a.png", b"")], {"reference": "r"}, Order(Place())
    )
    assert list(requests.pictures(name)) == ["a.png", "b.png"]


def test_requests_are_worked_on_one_after_another(tmp_path: Path) -> None:
    from untrain.serve.working import WAITING, Line

    line, log = Line(_slowly), tmp_path / "log.txt"
    for number in range(WAITING):
        line.add(str(number), (str(log),), lambda: None)
    with pytest.raises(InputError, match="try when some are done"):
        line.add("one more", (str(log),), lambda: None)
    with pytest.raises(InputError, match="3 is being worked on"):
        line.add("3", (str(log),), lambda: None)
    for number in range(2, WAITING):
        line.stop(str(number))
    assert line.before("1") == 1 and line.before("2") is None
    while line.before("1") is not None:
        time.sleep(0.02)
    line.close()
    assert log.read_text().split() == ["begins", "ends", "begins", "ends"]


def _slowly(path: str) -> None:
    with Path(path).open("a") as log:
        log.write("begins ")
        log.flush()
        time.sleep(0.1)
        log.write("ends ")


def test_a_request_that_is_too_much_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    from untrain.serve import requested
    from untrain.serve.requested import Order, Place, Requests, Sent

    requests = Requests(tmp_path / "requests", tmp_path / "takedowns")
    order, letter = Order(Place()), {"reference": "r"}
    monkeypatch.setattr(requested, "LARGEST", 5)
    with pytest.raises(InputError, match="as two requests"):
        requests.take([Sent("a.png", b"123"), Sent("b.png", b"456")], letter, order)
    monkeypatch.setattr(requested, "SPARE", 2**80)
    with pytest.raises(InputError, match="nearly full"):
        requests.take([Sent("a.png", b"1")], letter, order)
    monkeypatch.setattr(requested, "KEPT", 0)
    with pytest.raises(InputError, match="move old ones away"):
        requests.take([Sent("a.png", b"1")], letter, order)
    assert not (tmp_path / "requests").exists()


# Connections -----------------------------------------------------------------------------------


@contextmanager
def listening(app: Any, limits: Any) -> Iterator[tuple[str, int]]:
    """A server in a thread, over a real socket."""
    from untrain.serve.listening import listen
    from untrain.serve.server import make_server

    with listen("127.0.0.1", 0) as bound:
        server = make_server(app, limits)
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        try:
            yield bound.getsockname()[:2]
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server did not end"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    """A server of one small and one large answer that is in a hurry."""
    pytest.importorskip("uvicorn", reason="needs untrain[serve]")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response

    from untrain.serve.connections import Limits
    from untrain.serve.lanes import Lane
    from untrain.serve.responses import aside, body_of
    from untrain.serve.safety import Safety

    async def taken(request: Any) -> Response:
        return PlainTextResponse(str(len(await body_of(request, 2**20) or b"")))

    large = b"x" * (32 * 2**20)
    app = Starlette()
    app.add_route("/small", aside(lambda request: PlainTextResponse("small"), Lane(2, 9)))
    app.add_route("/large", aside(lambda request: Response(large), Lane(2, 9)))
    app.add_route("/take", taken, methods=["POST"])
    limits = Limits(head=0.4, body=1.0, rate=2**25, stall=0.4, connections=8, look=0.05)
    with listening(Safety(app, ["here", "a", "b"]), limits) as address:
        yield address


def ask(address: tuple[str, int], sent: bytes, seconds: float = 10) -> bytes:
    """Send bytes and return all that comes back until the connection ends."""
    with socket.create_connection(address, timeout=seconds) as one:
        try:
            one.sendall(sent)
            return read(one)
        except ConnectionError:
            return b""


def read(one: socket.socket) -> bytes:
    found = []
    try:
        while part := one.recv(2**20):
            found.append(part)
    except ConnectionError:
        pass
    return b"".join(found)


SMALL = b"GET /small HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
BODY = b"POST /take HTTP/1.1\r\nHost: here\r\n"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (SMALL, b"200"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", b"400"),  # TLS
        (b"GET / HTTP/9.9\r\n\r\n", b"421"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"421"),
        (b"GET /small HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET /small HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /small HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n", b"421"),
        (b"GET /small HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 600_000 + b"\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 100_000, b"400"),
        (b"GET /small HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", b"400"),
        (b"GET /small HTTP/1.1\nHost: a\nConnection: close\n\n", b"200"),
        (b"GET /\xff\x00 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET /%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET http://evil/small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404"),
        (BODY + b"Content-Length: -1\r\n\r\n", b"400"),
        (BODY + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400"),
        (BODY + b"Content-Length: 99999999999999999999\r\nConnection: close\r\n\r\n", b"200"),
        (BODY + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (BODY + b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"400"),
        (BODY + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (BODY + b"Expect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", b"100"),
        (SMALL.replace(b"\r\n\r\n", b"\r\nUpgrade: websocket\r\n\r\n"), b"200"),
        (SMALL.replace(b"close", b"upgrade\r\nUpgrade: h2c\r\nConnection: close"), b"200"),
        (SMALL[:-2] + b"Range: bytes=" + b"0-1," * 9000 + b"5-6\r\n\r\n", b"200"),
    ],
)
def test_what_is_no_request_ends_soon(
    server: tuple[str, int], sent: bytes, expected: bytes
) -> None:
    begun = time.monotonic()
    answer = ask(server, sent)
    assert time.monotonic() - begun < 5
    assert answer[:12] in (b"HTTP/1.1 " + expected, b""), answer[:200]
    assert b"500" not in answer[:12]
    assert b"200" in ask(server, SMALL)[:12]  # the next is answered as if nothing had been


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /small HT",
        SMALL[:-2],
        BODY + b"Content-Length: 9\r\n\r\nabc",
        BODY + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_who_sends_too_slowly_is_not_waited_for(server: tuple[str, int], sent: bytes) -> None:
    begun = time.monotonic()
    assert b"200" not in ask(server, sent)[:12]
    assert time.monotonic() - begun < 5


def test_one_byte_at_a_time_is_too_slow(server: tuple[str, int]) -> None:
    with socket.create_connection(server) as one:
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            for byte in SMALL * 100:
                one.sendall(bytes([byte]))
                time.sleep(0.05)
    assert time.monotonic() - begun < 5


@pytest.mark.slow
def test_who_does_not_read_is_not_waited_for(server: tuple[str, int]) -> None:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(server)
        one.settimeout(10)
        one.sendall(SMALL.replace(b"small", b"large"))
        time.sleep(2.5)
        assert len(read(one)) < 32 * 2**20
    assert ask(server, SMALL.replace(b"small", b"large")).count(b"x") >= 32 * 2**20


def test_a_connection_is_kept_for_the_next_request(server: tuple[str, int]) -> None:
    with socket.create_connection(server, timeout=5) as one:
        for _ in range(8):  # longer than a head may take, all together
            one.sendall(SMALL.replace(b"close", b"keep-alive"))
            answer = b""
            while not answer.endswith(b"small"):
                answer += one.recv(4096) or b"ended small"
            assert b"200" in answer[:12]
            time.sleep(0.1)
        assert read(one) == b""  # and ended when none comes


def test_connections_that_say_nothing_keep_nobody_out(server: tuple[str, int]) -> None:
    silent = [socket.create_connection(server) for _ in range(40)]
    try:
        for _ in range(5):
            assert b"200" in ask(server, SMALL)[:12]
    finally:
        for one in silent:
            one.close()


def test_where_all_are_busy_the_next_is_told(server: tuple[str, int]) -> None:
    busy = []
    try:
        for _ in range(8):
            one = socket.create_connection(server)
            one.sendall(BODY + b"Content-Length: 9\r\n\r\nabc")
            busy.append(one)
        time.sleep(0.1)
        assert ask(server, SMALL).startswith((b"HTTP/1.1 503", b""))
    finally:
        for one in busy:
            one.close()
    time.sleep(0.2)
    assert b"200" in ask(server, SMALL)[:12]


@pytest.mark.slow
def test_the_server_ends_while_somebody_does_not_read(monkeypatch: Any) -> None:
    pytest.importorskip("uvicorn", reason="needs untrain[serve]")
    from starlette.applications import Starlette
    from starlette.responses import Response

    from untrain.serve import server as module
    from untrain.serve.connections import Limits

    monkeypatch.setattr(module, "PATIENCE", 1)
    app = Starlette()
    app.add_route("/", lambda request: Response(b"x" * 2**26))
    with listening(app, Limits()) as address:
        one = socket.create_connection(address)
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        begun = time.monotonic()
    assert time.monotonic() - begun < 6
    one.close()


def test_work_that_waits_is_bounded_and_given_up() -> None:
    import anyio

    from untrain.serve.lanes import Busy, Gone, Lane

    class Waits:
        async def is_disconnected(self) -> bool:
            return gone

    async def all_of() -> list[str]:
        lane, ends = Lane(1, 1), []
        go = threading.Event()

        async def one(request: Any = None) -> None:
            try:
                await lane.run(go.wait, request)
                ends.append("done")
            except (Busy, Gone) as error:
                ends.append(type(error).__name__)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await anyio.sleep(0.05)
            tasks.start_soon(one, Waits())
            await anyio.sleep(0.05)
            tasks.start_soon(one)
            await anyio.sleep(0.05)
            go.set()
        return ends

    gone = True
    with ThreadPoolExecutor(1) as other:  # this thread may have a loop already
        assert other.submit(anyio.run, all_of).result() == ["Busy", "done", "Gone"]


@pytest.mark.parametrize(
    ("host", "address", "port", "ours", "others"),
    [
        ("127.0.0.1", "127.0.0.1", 8808, ["localhost:8808", "[::1]:8808"], ["a:8808"]),
        ("127.0.0.1", "127.0.0.1", 80, ["localhost", "localhost:80"], ["localhost:8808"]),
        (
            "0.0.0.0",
            "0.0.0.0",
            1,
            ["192.168.7.7:1", "[fe80::1]:1"],
            ["evil.org:1", "1.2.3.4:2"],
        ),
        ("::", "::", 1, ["192.168.7.7:1", "localhost:1"], ["1.2.3.4.evil.example:1", ":1", ""]),
        ("me.example", "192.0.2.1", 5, ["me.example:5", "192.0.2.1:5"], ["192.0.2.2:5"]),
    ],
)
def test_the_names_that_a_server_answers_to(
    host: str, address: str, port: int, ours: list[str], others: list[str]
) -> None:
    pytest.importorskip("uvicorn", reason="needs untrain[serve]")
    from untrain.serve.safety import Safety
    from untrain.serve.server import names_of

    guard = Safety(None, names_of(host, address, port))  # type: ignore[arg-type]
    assert [name for name in ours if not guard._is_ours(name)] == []
    assert [name for name in others if guard._is_ours(name)] == []
