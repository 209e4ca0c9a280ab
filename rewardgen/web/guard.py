"""The middleware that checks every request and sets the security headers of every response.

Host                 must be one of the server's names (DNS rebinding: a foreign name that resolves to our address)
token                from other machines, and to act on runs; once in a URL or a form, then in a cookie
origin, form token   requests that change something must come from our own pages, and from this visitor's session
size                 request bodies are limited
headers              no inline scripts, nothing from other servers, no frames
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rewardgen.llm.dialog import MAX_BYTES
from rewardgen.signing import SigningKey, same
from rewardgen.web.access import Visitor, csrf_token, from_cookie, to_cookie
from rewardgen.web.rendering import page

MAX_BODY = 64 * 1024
"""Max. bytes of a form: the longest remark, with every character escaped."""
MAX_ANSWER_BODY = 3 * MAX_BYTES + 4096
"""Max. bytes of a form with an answer, from those who may act; each byte of an answer may be escaped as three."""
MAX_FIELDS = 200
VISITOR_COOKIE, TOKEN_COOKIE = "rewardgen_visitor", "rewardgen_token"
_YEAR = 365 * 24 * 3600
POLICY = "Content-Security-Policy"
REPORT_POLICY = (
    "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For a run's report, which contains its styles and pictures: a sandboxed document without an origin."""
_HEADERS = {
    POLICY: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # "no-referrer" would also take the origin from our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True)
class Rules:
    """Who may use the server.

    Attributes:
        key: signs cookies and forms.
        names: the server's host names, besides numeric addresses.
        token: admits whoever shows it.
        local: the server listens on loopback only, so only loopback addresses are its own.
        open: everybody may look and judge without the token.
        control: whoever has shown the token may start and stop searches, and answer their requests.
    """

    key: SigningKey
    names: frozenset[str]
    token: str
    local: bool = True
    open: bool = False
    control: bool = False

    def is_ours(self, host: str) -> bool:
        """Return whether a Host header names this server. A numeric address cannot be rebound by DNS."""
        # Strip the port; IPv6 addresses are in brackets
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.lower().rstrip(".")
        try:
            address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name in self.names
        return address.is_loopback or not self.local

    @property
    def admission(self) -> str:
        """The value of the cookie of somebody who has shown the token."""
        return self.key.sign("token", self.token)


class Guard:
    """Reject requests that break the rules; pass on the others with ``visitor``, ``form``, ``csrf`` in their state."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # our pages open no WebSockets
            await send({"type": "websocket.close", "code": 1008})
            return
        # Identify the visitor
        known = from_cookie(Request(scope).cookies.get(VISITOR_COOKIE, ""), self._rules.key)
        visitor = known or Visitor.new()
        state: dict[str, Any] = scope.setdefault("state", {})
        state.update(visitor=visitor, csrf=csrf_token(visitor, self._rules.key), form={}, may_act=False)

        # Add the headers to whatever is answered
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    if not (name == POLICY and headers.get(POLICY) == REPORT_POLICY):
                        headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                if known is None and scope["method"] == "GET" and message["status"] < 400:
                    headers.append("Set-Cookie", visitor_cookie(visitor, self._rules.key))
            await send(message)

        answer = await self._answer(Request(scope, receive), state) or self._app
        await answer(scope, receive, send_guarded)

    async def _answer(self, request: Request, state: dict[str, Any]) -> Response | None:
        """Return the response of a rejected request or the page that asks for the token; None passes the request on."""
        # Host and method
        if not self._rules.is_ours(request.headers.get("host", "")):
            return _refusal(421, "This server does not have that name.", "Open it by its address, or start it with "
                            "--host-name and the name that you use.")  # fmt: skip
        if request.method not in ("GET", "HEAD", "POST"):
            return _refusal(405, "This server only accepts GET and POST.")
        # Origin and size
        if request.method == "POST":
            refusal = await self._read_form(request, state)
            if refusal is not None:
                return refusal
        # Token
        admitted = self._is_admitted(request)
        shown = "token" in request.query_params or "token" in state["form"]
        if not admitted and (shown or not self._rules.open):
            return self._admit(request, state)
        # Form token of this visitor's session
        state["may_act"] = admitted and self._rules.control
        if request.method == "POST" and not self._rules.key.signed(
            state["form"].pop("csrf", "") or request.headers.get("x-csrf-token", ""), "form", state["visitor"].id
        ):
            return _refusal(403, "This page is older than your visit.", "Reload it and try again.")
        if "token" in request.query_params:  # the URL may be copied or shared
            return RedirectResponse(_without_token(request), 303)
        return None

    async def _read_form(self, request: Request, state: dict[str, Any]) -> Response | None:
        """Read the form into ``state``. Too large bodies are rejected before they are read to the end."""
        # The browser says which site the request comes from
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        host = request.headers["host"].lower()
        ours = (None, f"http://{host}", f"https://{host}")  # https: behind a proxy
        if site not in (None, "same-origin") or (origin and origin.lower()) not in ours:
            return _refusal(403, "The request came from another site.", "Nothing was changed.")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return _refusal(415, "Only forms are accepted.")
        # Limit the size, whatever length is declared
        answers = request.url.path.endswith("/answers") and self._rules.control and self._is_admitted(request)
        limit = MAX_ANSWER_BODY if answers else MAX_BODY
        size = request.headers.get("content-length", "0")
        if not size.isdigit() or int(size) > limit:
            return _refusal(413, f"At most {limit // 1024} KiB are accepted in one request.")
        body = b""
        async for chunk in request.stream():  # the declared length may be missing or wrong
            body += chunk
            if len(body) > limit:
                return _refusal(413, f"At most {limit // 1024} KiB are accepted in one request.")
        # Parse
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
                              max_num_fields=MAX_FIELDS)  # fmt: skip
        except ValueError:
            return _refusal(400, "The body is not a valid form.")
        state["form"] = dict(pairs)
        return None

    def _is_admitted(self, request: Request) -> bool:
        """Return whether the browser has shown the token before."""
        return same(request.cookies.get(TOKEN_COOKIE, ""), self._rules.admission)

    def _admit(self, request: Request, state: dict[str, Any]) -> Response:
        """Admit a browser that shows the token; ask all others for it."""
        given = request.query_params.get("token") or state["form"].get("token")
        if given is None or not same(given, self._rules.token):
            return HTMLResponse(page("token.html.j2", request, wrong=given is not None, path=request.url.path), 401)
        # A page that continues by itself: after a redirect the request would still count as coming from the site with
        # the link, and the browser would not send the strict cookie.
        response = HTMLResponse(page("admitted.html.j2", request, path=_without_token(request)))
        response.headers.append("Set-Cookie", _cookie(TOKEN_COOKIE, self._rules.admission, "Strict"))
        return response


def visitor_cookie(visitor: Visitor, key: SigningKey) -> str:
    """Return the Set-Cookie header of a visitor. Lax: it is also sent when a link from elsewhere is followed."""
    return _cookie(VISITOR_COOKIE, to_cookie(visitor, key), "Lax")


def _cookie(name: str, value: str, site: str) -> str:
    return f"{name}={value}; HttpOnly; SameSite={site}; Path=/; Max-Age={_YEAR}"


def _without_token(request: Request) -> str:
    """Return the request's path and query without the token."""
    rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    path = "/" + request.url.path.lstrip("/")  # "//host" would lead to another server
    return f"{path}?{urlencode(rest)}" if rest else path


def _refusal(status: int, what: str, then: str = "") -> Response:
    return HTMLResponse(page("refusal.html.j2", None, what=what, then=then, status=status), status)
