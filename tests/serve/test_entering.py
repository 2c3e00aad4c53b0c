"""The door: guesses wait, owners do not; who leaves is out; what a proxy may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.pages import HOST
from untrain.catalogs.base import Catalog
from untrain.core.errors import InputError

pytestmark = pytest.mark.external

SHORT, LONG = "sixteen letters!", "a" * 32
PUBLIC = "https://untrain.example.org"


def door(photos: Catalog, folder: Path, token: str, public: str | None = None) -> Any:
    """Return a function that makes clients of one page, each of its own address."""
    testing = pytest.importorskip("starlette.testclient", reason="needs untrain[serve] and httpx")
    from untrain.serve.app import make_app
    from untrain.serve.shelf import Shelf

    app = make_app(Shelf(lambda: (photos, None), None, folder), [HOST], token, public)

    def client(peer: str, base: str = f"http://{HOST}") -> Any:
        return testing.TestClient(app, base, client=(peer, 50000), follow_redirects=False)

    return client


def guess(client: Any, token: str, **headers: str) -> int:
    """Return the status of a token that is given in the form."""
    return client.post("/enter", data={"token": token}, headers=headers).status_code


def test_wrong_tokens_wait_by_address(photos: Catalog, tmp_path: Path) -> None:
    client = door(photos, tmp_path, SHORT)
    guesser = client("2001:db8::1")
    assert [guess(guesser, f"wrong {n}") for n in range(12)] == [403] * 9 + [429] * 3
    assert guess(client("2001:db8::2"), "wrong") == 429  # the same network
    assert guess(guesser, SHORT) == 429  # or guesses would go on unlimited
    waits = guesser.post("/enter", data={"token": SHORT})
    assert 1 <= int(waits.headers["retry-after"]) <= 5 and "Try again in" in waits.text
    bearer = {"authorization": "Bearer wrong"}
    assert guesser.get("/", headers=bearer).status_code == 429
    assert guess(client("2001:db8:0:1::1"), SHORT) == guess(client("192.0.2.1"), SHORT) == 303


def test_a_long_token_opens_also_beside_guesses(photos: Catalog, tmp_path: Path) -> None:
    client = door(photos, tmp_path, LONG)
    shared = client("192.0.2.1")
    assert [guess(shared, "wrong") for _ in range(11)][-1] == 429
    assert guess(shared, LONG) == 303
    assert guess(client("192.0.2.1"), "wrong") == 429


def test_guesses_are_forgiven_in_time() -> None:
    from untrain.serve.entering import AT_ONCE, EVERY, PEERS, Guesses

    now = [100.0]
    guesses = Guesses(lambda: now[0])
    for _ in range(AT_ONCE):
        assert guesses.wait("a") == 0
        guesses.wrong("a")
    assert guesses.wait("a") == EVERY and guesses.wait("::ffff:192.0.2.1") == 0
    now[0] += EVERY
    assert guesses.wait("a") == 0
    for n in range(2 * PEERS):
        guesses.wrong(f"peer {n}")
    assert len(guesses._paid) == PEERS


def test_who_leaves_is_out_and_others_stay(photos: Catalog, tmp_path: Path) -> None:
    client = door(photos, tmp_path, LONG)
    one, other = client("192.0.2.1"), client("192.0.2.2")
    assert guess(one, LONG) == guess(other, LONG) == 303
    assert 'action="/leave"' in one.get("/runs").text
    cookie = dict(one.cookies)
    away = {"origin": "http://evil.example"}
    assert one.post("/leave", headers=away).status_code == 403
    assert one.get("/runs").status_code == 200
    assert one.post("/leave").status_code == 303 and not one.cookies
    stolen = "; ".join(f"{name}={value}" for name, value in cookie.items())
    assert one.get("/runs", headers={"cookie": stolen}).status_code == 403
    assert other.get("/runs").status_code == 200


def test_a_proxy_is_believed_only_where_it_was_named(photos: Catalog, tmp_path: Path) -> None:
    for public, last in ((None, 429), (PUBLIC, 403)):
        proxy = door(photos, tmp_path, SHORT, public)("127.0.0.1")
        said = [guess(proxy, "wrong", **{"x-forwarded-for": f"6.6.6.6, {n}"}) for n in range(11)]
        assert said[-1] == last
    client = door(photos, tmp_path, SHORT, PUBLIC)
    proxy = client("127.0.0.1", PUBLIC)
    one = {"x-forwarded-for": "made up, 192.0.2.1"}  # what it was sent stands first
    assert [guess(proxy, "wrong", **one) for _ in range(11)][-1] == 429
    entered = proxy.post("/enter", data={"token": SHORT}, headers={"origin": PUBLIC})
    cookie = entered.headers["set-cookie"].lower()
    assert entered.status_code == 303
    assert all(flag in cookie for flag in ("secure", "httponly", "samesite=strict", "path=/"))
    plain = client("127.0.0.1").post("/enter", data={"token": SHORT})
    assert plain.status_code == 303 and "secure" not in plain.headers["set-cookie"].lower()
    assert client("127.0.0.1", "https://other.example.org").get("/").status_code == 421


def test_public_addresses() -> None:
    pytest.importorskip("uvicorn", reason="needs untrain[serve]")
    from untrain.serve.server import origin_of

    assert origin_of("https://Untrain.example.org:443/") == PUBLIC
    assert origin_of("http://[2001:db8::1]:8080") == "http://[2001:db8::1]:8080"
    for wrong in ("untrain.example.org", "https://", "ftp://a", "https://a/b", "https://a:x", "",
                  "https://me@a", "https://a?b", "https://[a"):  # fmt: skip
        with pytest.raises(InputError, match="public address"):
            origin_of(wrong)
