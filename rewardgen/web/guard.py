"""What stands between the network and the pages: every request passes here, and every answer leaves here.

Host                 one of the names that the server goes by (DNS rebinding: a foreign name for our address)
token                from other machines, and to act, once in an address or a form, then in a cookie
origin, form token   whatever changes something comes from a page of ours, and from this visitor's
size                 a body is small
headers              nothing inline, nothing from elsewhere, in nobody's frame
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

from rewardgen.signing import SigningKey, same
from rewardgen.web.access import Visitor, csrf_token, from_cookie, to_cookie
from rewardgen.web.rendering import page

MAX_BODY = 64 * 1024
"""Bytes of a form: the longest words, with every character written out as an escape."""
MAX_FIELDS = 200
VISITOR_COOKIE, TOKEN_COOKIE = "rewardgen_visitor", "rewardgen_token"
_YEAR = 365 * 24 * 3600
POLICY = "Content-Security-Policy"
REPORT_POLICY = (
    "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of a run's report, which has its styles and pictures within itself: shown as if it came from nowhere."""
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
    """``names``: host names that the server goes by besides addresses in digits. ``token``: admits whoever shows it.

    ``local`` says that the server listens on loopback alone, where no address but a loopback one is ours. ``open`` lets
    everybody look and judge; with ``control``, those who have shown the token may start and stop searches.
    """

    key: SigningKey
    names: frozenset[str]
    token: str
    local: bool = True
    open: bool = False
    control: bool = False

    def is_ours(self, host: str) -> bool:
        """Whether a Host header names this server. An address in digits cannot be rebound to another."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.lower().rstrip(".")
        try:
            address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name in self.names
        return address.is_loopback or not self.local

    @property
    def admission(self) -> str:
        """What the cookie of somebody holds who has shown the token."""
        return self.key.sign("token", self.token)


class Guard:
    """Refuses what the rules refuse, and hands on the rest with ``visitor``, ``form`` and ``csrf`` in its state."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no page of ours opens a WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        known = from_cookie(Request(scope).cookies.get(VISITOR_COOKIE, ""), self._rules.key)
        visitor = known or Visitor.new()
        state: dict[str, Any] = scope.setdefault("state", {})
        state.update(visitor=visitor, csrf=csrf_token(visitor, self._rules.key), form={}, may_act=False)

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
        """What is answered at once: a refusal, or the way in; None lets the request pass."""
        if not self._rules.is_ours(request.headers.get("host", "")):
            return _refusal(421, "This server does not go by that name.", "Open it by its address, or start it with "
                            "--host-name and the name that you use.")  # fmt: skip
        if request.method not in ("GET", "HEAD", "POST"):
            return _refusal(405, "This server knows GET and POST alone.")
        if request.method == "POST":
            refusal = await self._read_form(request, state)
            if refusal is not None:
                return refusal
        admitted = self._is_admitted(request)
        shown = "token" in request.query_params or "token" in state["form"]
        if not admitted and (shown or not self._rules.open):
            return self._admit(request, state)
        state["may_act"] = admitted and self._rules.control
        if request.method == "POST" and not self._rules.key.signed(
            state["form"].pop("csrf", "") or request.headers.get("x-csrf-token", ""), "form", state["visitor"].id
        ):
            return _refusal(403, "This page is older than your visit.", "Reload it and try again.")
        if "token" in request.query_params:  # nobody should send on an address that holds one
            return RedirectResponse(_without_token(request), 303)
        return None

    async def _read_form(self, request: Request, state: dict[str, Any]) -> Response | None:
        """Read the body into ``state``; what is too large is refused before it was taken in."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        host = request.headers["host"].lower()
        ours = (None, f"http://{host}", f"https://{host}")  # https where a proxy in front of us speaks it
        if site not in (None, "same-origin") or (origin and origin.lower()) not in ours:
            return _refusal(403, "That came from another site.", "Nothing was changed.")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return _refusal(415, "Only forms are taken here.")
        size = request.headers.get("content-length", "0")
        if not size.isdigit() or int(size) > MAX_BODY:
            return _refusal(413, f"At most {MAX_BODY // 1024} KiB are taken at once.")
        body = b""
        async for chunk in request.stream():  # the length may be unsaid or a lie
            body += chunk
            if len(body) > MAX_BODY:
                return _refusal(413, f"At most {MAX_BODY // 1024} KiB are taken at once.")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
                              max_num_fields=MAX_FIELDS)  # fmt: skip
        except ValueError:
            return _refusal(400, "That is no form.")
        state["form"] = dict(pairs)
        return None

    def _is_admitted(self, request: Request) -> bool:
        return same(request.cookies.get(TOKEN_COOKIE, ""), self._rules.admission)

    def _admit(self, request: Request, state: dict[str, Any]) -> Response:
        """Let in whoever shows the token; ask all others for it."""
        given = request.query_params.get("token") or state["form"].get("token")
        if given is None or not same(given, self._rules.token):
            return HTMLResponse(page("token.html.j2", request, wrong=given is not None, path=request.url.path), 401)
        # A page that goes on by itself: a redirection would still count as coming from wherever the link was, and the
        # browser would keep the strict cookie back.
        response = HTMLResponse(page("admitted.html.j2", request, path=_without_token(request)))
        response.headers.append("Set-Cookie", _cookie(TOKEN_COOKIE, self._rules.admission, "Strict"))
        return response


def visitor_cookie(visitor: Visitor, key: SigningKey) -> str:
    """The header that keeps a visitor. Lax: who follows a link from a message stays who they are."""
    return _cookie(VISITOR_COOKIE, to_cookie(visitor, key), "Lax")


def _cookie(name: str, value: str, site: str) -> str:
    return f"{name}={value}; HttpOnly; SameSite={site}; Path=/; Max-Age={_YEAR}"


def _without_token(request: Request) -> str:
    rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    path = "/" + request.url.path.lstrip("/")  # "//elsewhere" would lead there
    return f"{path}?{urlencode(rest)}" if rest else path


def _refusal(status: int, what: str, then: str = "") -> Response:
    return HTMLResponse(page("refusal.html.j2", None, what=what, then=then, status=status), status)
