"""Who may ask: this machine's own browser pages, or whoever has the token; and what pages may do.

A page of another site that the user has open can send requests to this address, and a name of
another site can be made to lead here (DNS rebinding). So the Host must be one of ours, and what
changes something must come from a page of ours (Origin, or Sec-Fetch-Site where a browser hides it;
what sends neither is no browser, and no page of another site has sent it).
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from untrain.serve.entering import Door
from untrain.serve.pages import page
from untrain.serve.responses import body_of

ENTER, LEAVE, OPEN = "/enter", "/leave", ("/static/", "/favicon.ico")
"""Where the token is given, where a browser leaves, and what can be had without either."""
INSIDE = "untrain.inside"
"""In the scope of a request: it comes from a browser that can leave."""
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
        What has to be known: given in a form once (see `untrain.serve.entering.Door`), or sent as
        ``Authorization: Bearer``. None: nothing.
    public : str, optional
        Where others find the page behind a proxy, such as ``https://untrain.example.org``. Only
        then something of what a proxy adds is believed: the last of ``X-Forwarded-For``.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        token: str | None = None,
        public: str | None = None,
    ) -> None:
        self.app, self.public = app, public
        self.hosts = frozenset(hosts) | ({urlsplit(public).netloc} if public else set())
        self.door = Door(token, public) if token else None
        self._ports = {host.removeprefix(f"{ANY}:") for host in hosts if host.startswith(ANY)}

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
        if refusal is None and self.door:
            refusal = await self._refused(scope, receive, headers)
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

    async def _refused(self, scope: Scope, receive: Receive, headers: Headers) -> Response | None:
        """Return what somebody gets who has not shown the token; None: go on."""
        assert self.door
        path, peer, wait = scope["path"], self._peer(scope, headers), 0.0
        posts = scope["method"] == "POST"
        if posts and path == LEAVE:
            return self.door.leave(headers)
        if self.door.inside(headers):
            scope[INSIDE] = True
            return None
        if scope["method"] in READS and path.startswith(OPEN):
            return None
        given = self.door.bearer(headers)
        enters = given is None and posts and path == ENTER
        if enters:
            content = await body_of(Request(scope, receive), 4096) or b""
            fields = parse_qs(content.decode("utf-8", "replace"), max_num_fields=8)
            given = fields.get("token", [""])[0].strip()
        if given is not None:
            tried = self.door.tried(given, peer)
            if tried is None:
                return self.door.enter(headers) if enters else None
            wait = tried
        query = scope["query_string"].decode("latin-1")
        raw = scope.get("raw_path", b"/").decode("latin-1")
        here = raw + ("?" + query if query else "")
        if raw == ENTER or not raw.startswith("/") or raw[1:2] in ("/", "\\"):
            here = "/"  # no address of another site
        shown = page("enter", wrong=given is not None, wait=math.ceil(wait), here=here)
        later = {"Retry-After": str(math.ceil(wait))} if wait else None
        return HTMLResponse(shown, 429 if wait else 403, later)

    def _peer(self, scope: Scope, headers: Headers) -> str:
        """Return the address that asks: where a proxy is known to be there, the one that it saw."""
        seen = headers.getlist("x-forwarded-for") if self.public else []
        if seen:  # what stands before the last may be made up
            return seen[-1].rpartition(",")[2].strip()
        return (scope.get("client") or ("",))[0]


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
