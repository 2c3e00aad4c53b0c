"""Who may ask: this machine's own browser pages, or whoever has the token; and what pages may do.

A page of another site that the user has open can send requests to this address, and a name of
another site can be made to lead here (DNS rebinding). So the Host must be one of ours, and what
changes something must come from a page of ours (Origin, or Sec-Fetch-Site where a browser hides it;
what sends neither is no browser, and no page of another site has sent it).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from untrain.serve.pages import page
from untrain.serve.responses import body_of

COOKIE = "untrain"
ENTER, OPEN = "/enter", ("/static/", "/favicon.ico")
"""Where the token is given, and what can be had without it."""
READS = ("GET", "HEAD")
LONGEST = 255
"""Bytes of a part of a path: no file has a longer name."""
ANY = "any address"
"""Beside names of hosts: any address that is a number, which no name of another site is."""
POLICY = (
    "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of a run's report, which brings its own script: it may read nothing of this server."""
FIGURE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
)
"""Of a figure (SVG), which is drawn and runs nothing."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Safety:
    """Refuse requests that are not of our own pages, and tell browsers what ours may do.

    Parameters
    ----------
    app : ASGI application
    hosts : collection of str
        What the header ``Host`` may be, such as ``127.0.0.1:8000``; ``any address:8000`` stands for
        every address that is a number.
    token : str, optional
        What has to be known: given in a form once, then shown as a cookie that is made of it and
        ends with this process; or sent as ``Authorization: Bearer``. None: nothing.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str | None = None) -> None:
        self.app, self.hosts, self.token = app, frozenset(hosts), token
        self._ports = {host.removeprefix(f"{ANY}:") for host in hosts if host.startswith(ANY)}
        own = secrets.token_bytes(32)
        self._shown = hmac.new(own, (token or "").encode(), hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # there are no web sockets here
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", POLICY)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None and self.token and not self._knows(headers):
            refusal = await self._asked_for_token(scope, receive)
        # Parts of files are asked for by nobody, and putting many together takes long.
        kept = [(name, value) for name, value in scope["headers"] if name.lower() != b"range"]
        try:
            await (refusal or self.app)({**scope, "headers": kept}, receive, with_headers)
        except Exception:
            if not started:
                words = "something went wrong here; the terminal of the server says what"
                await PlainTextResponse(words, 500)(scope, receive, with_headers)
            raise

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if "transfer-encoding" in headers and "content-length" in headers:
            return PlainTextResponse("a body has one length", 400)  # a proxy may take the other one
        host = headers.get("host", "")
        if not self._is_ours(host):
            known = ", ".join(sorted(self.hosts))
            return PlainTextResponse(f"unknown host; this page is at {known}", 421)
        reads = scope["method"] in READS
        origin = headers.get("origin")
        if not reads and origin not in (None, f"http://{host}", f"https://{host}"):
            return PlainTextResponse("this came from a page of another site", 403)
        site = headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none") and not (reads and _opens(headers)):
            return PlainTextResponse("this came from a page of another site", 403)
        if not _is_plain(scope["path"]):
            return PlainTextResponse("there is no such page", 404)
        return None

    def _is_ours(self, host: str) -> bool:
        if host in self.hosts:
            return True
        name, _, port = host.rpartition(":")
        if port not in self._ports:
            return False
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def _knows(self, headers: Headers) -> bool:
        """Tell whether a request shows the token, or the cookie that stands for it."""
        assert self.token
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), self.token):
            return True
        try:
            cookie: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        name = _cookie(headers)
        return name in cookie and _same(cookie[name].value, self._shown)

    async def _asked_for_token(self, scope: Scope, receive: Receive) -> Response | None:
        """Return what somebody gets who has not shown the token."""
        assert self.token
        path, wrong = scope["path"], False
        if scope["method"] in READS and path.startswith(OPEN):
            return None
        if path == ENTER and scope["method"] == "POST":
            content = await body_of(Request(scope, receive), 4096) or b""
            given = parse_qs(content.decode("utf-8", "replace"), max_num_fields=8)
            if _same(given.get("token", [""])[0].strip(), self.token):
                answer = RedirectResponse("/", 303)
                name = _cookie(Headers(scope=scope))
                answer.set_cookie(name, self._shown, httponly=True, samesite="strict")
                return answer
            wrong = True
        query = scope["query_string"].decode("latin-1")
        raw = scope.get("raw_path", b"/").decode("latin-1")
        here = raw + ("?" + query if query else "")
        if raw == ENTER or not raw.startswith("/") or raw[1:2] in ("/", "\\"):
            here = "/"  # no address of another site
        return HTMLResponse(page("enter", wrong=wrong, here=here), 403)


def _cookie(headers: Headers) -> str:
    """Return the name of the cookie: browsers share cookies among the ports of a machine."""
    return f"{COOKIE}-{headers.get('host', '').rpartition(':')[2]}"


def _same(given: str, known: str) -> bool:
    """Compare in a time that says nothing of where two texts differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())


def _is_plain(path: str) -> bool:
    """Tell whether a path could name anything: no control characters, no part too long."""
    return path.isprintable() and all(
        len(part.encode("utf-8", "replace")) <= LONGEST for part in path.split("/")
    )


def _opens(headers: Headers) -> bool:
    """Tell whether a person follows a link here: a page of another site may not embed or fetch."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in (
        "document",
        None,
    )
