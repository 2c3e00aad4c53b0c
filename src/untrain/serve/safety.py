"""Who may ask: this machine's own browser pages, or whoever has the token; and what pages may do.

A page of another site that the user has open can send requests to this address, and a name of
another site can be made to lead here (DNS rebinding). So the Host must be one of ours, and what
changes something must come from a page of ours (Origin).
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "untrain"
READS = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-src 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
"""Of a run's report, which brings its own script: it may read nothing of this server."""
FIGURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""Of a figure (SVG), which is drawn and runs nothing."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Safety:
    """Refuse requests that are not of our own pages, and tell browsers what ours may do.

    Parameters
    ----------
    app : ASGI application
    hosts : collection of str
        What the header ``Host`` may be, such as ``127.0.0.1:8000``.
    token : str, optional
        What has to be known, as ``?token=`` once and then as a cookie; None: nothing.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str | None = None) -> None:
        self.app, self.hosts, self.token = app, frozenset(hosts), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # there are no web sockets here
        refusal = self._refusal(scope)
        answer = self.app if refusal is None else refusal

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", POLICY)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await answer(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self.hosts:
            known = ", ".join(sorted(self.hosts))
            return PlainTextResponse(f"unknown host; this page is at {known}", 421)
        origin = headers.get("origin")
        if scope["method"] not in READS and origin and urlsplit(origin).netloc != host:
            return PlainTextResponse("this came from a page of another site", 403)
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _opens(headers):
            return PlainTextResponse("this came from a page of another site", 403)
        return self._without_token(scope, headers) if self.token else None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """Return what somebody gets who has not shown the token with this request's cookie."""
        assert self.token
        cookie: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
        if COOKIE in cookie and hmac.compare_digest(cookie[COOKIE].value, self.token):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return PlainTextResponse("open the address with its token, as the terminal shows", 403)
        answer = RedirectResponse(scope["path"], 303)
        answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
        return answer


def _opens(headers: Headers) -> bool:
    """Tell whether a person follows a link here: a page of another site may not embed or fetch."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in (
        "document",
        None,
    )
