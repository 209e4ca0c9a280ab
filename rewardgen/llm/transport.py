"""Sends requests: with the key, through the proxy that the environment names, with a bound on the answer's size.

The key is only added here, at the edge. The client above never holds it, so none of its objects, errors or logs can
show it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import httpx2

from rewardgen.errors import ConfigError
from rewardgen.llm.secrets import Secret, password_of

MAX_BODY_BYTES = 32 * 2**20
"""Max. size of an answer; a larger one is refused without being read to its end."""


class BodyTooLarge(httpx2.TransportError):
    """The server sent more than ``MAX_BODY_BYTES``."""


class EdgeTransport(httpx2.AsyncBaseTransport):
    """Adds the key, if there is one; reads bodies up to a bound, and decompresses them up to the same bound."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, key: Secret | None) -> None:
        self._inner, self._key = inner, key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request with the key and return its answer with the whole body."""
        headers = httpx2.Headers(request.headers)
        if self._key is None:
            headers.pop("Authorization", None)
        else:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        headers["Accept-Encoding"] = "identity"
        # Send a copy, so that the request that errors refer to stays without the key
        sent = httpx2.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        # Read the body within its bound; its headers no longer apply to it
        response = await self._inner.handle_async_request(sent)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        headers_left = [
            (name, value) for name, value in response.headers.multi_items() if name.lower() not in _BODY_HEADERS
        ]
        return httpx2.Response(response.status_code, headers=headers_left, content=body, extensions=response.extensions)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


_BODY_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


async def _read(response: httpx2.Response) -> bytes:
    """Return the body, decompressed.

    Raises:
        BodyTooLarge: it is larger than ``MAX_BODY_BYTES``, before or after.
    """
    body = bytearray()
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    async for part in response.stream:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"more than {MAX_BODY_BYTES // 2**20} MiB")
    if response.headers.get("content-encoding", "identity").lower() not in ("gzip", "deflate"):
        return bytes(body)
    # A small body may decompress to a huge one
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(bytes(body), MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise httpx2.RemoteProtocolError(f"a compressed body that cannot be unpacked: {error}") from error
    if len(plain) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"more than {MAX_BODY_BYTES // 2**20} MiB once unpacked")
    return plain


@dataclass(frozen=True)
class Proxy:
    """A proxy and the environment variable that names it."""

    url: str = field(repr=False)
    variable: str

    @property
    def shown(self) -> str:
        """The proxy for messages: without the name and password that the URL may hold."""
        return f"the proxy {_without_userinfo(self.url)} ({self.variable})"

    @property
    def passwords(self) -> list[str]:
        """The password in its URL, if there is one, to be masked in messages."""
        return password_of(urlsplit(self.url).netloc.rpartition("@")[0])


def make_transport(proxy: Proxy | None, key: Secret | None) -> EdgeTransport:
    """Return a transport through ``proxy``, or a direct one."""
    return EdgeTransport(httpx2.AsyncHTTPTransport(proxy=proxy.url if proxy else None), key)


def proxy_for(base_url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy of the usual variables (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, in either case).

    Raises:
        ConfigError: its URL cannot be used; the message names the variable.
    """
    url = httpx2.URL(base_url)
    # Names of the variables in either case
    named = {
        name.lower(): (name, value) for name, value in environ.items() if name.lower().endswith("_proxy") and value
    }
    if _bypasses(url, named.get("no_proxy", ("", ""))[1]):
        return None
    chosen = named.get(f"{url.scheme}_proxy") or named.get("all_proxy")
    return None if chosen is None else _checked(*chosen)


def _checked(variable: str, url: str) -> Proxy:
    """Return the proxy if its URL can be used; the messages say how to correct it."""
    # Say how to correct the most common mistakes
    scheme, sign, _ = url.partition("://")
    shown = _without_userinfo(url)
    otherwise = f"or list the endpoint's host in NO_PROXY, or unset {variable}"
    if not sign:
        raise ConfigError(f"{variable} is {shown!r}, which has no scheme; write http://{shown}, {otherwise}")
    if scheme.lower() == "socks":
        right = "socks5" + shown[len("socks") :]
        raise ConfigError(f"{variable} is {shown!r}, and socks:// names no protocol; write {right}, {otherwise}")
    if scheme.lower() in ("socks5", "socks5h"):
        if find_spec("socksio") is None:
            raise ConfigError(
                f"{variable} is {shown!r}, a SOCKS proxy, which needs another package: pip install socksio; {otherwise}"
            )
    elif scheme.lower() not in ("http", "https"):
        raise ConfigError(f"{variable} is {shown!r}; give the URL of an HTTP or SOCKS proxy, {otherwise}")
    try:
        valid = bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(f"{variable} is {shown!r}, which names no host; write {scheme}://HOST:PORT, {otherwise}")
    return Proxy(url, variable)


def _without_userinfo(url: str) -> str:
    """Return a URL without its name and password."""
    head, sign, rest = url.rpartition("://")
    authority, slash, path = rest.partition("/")
    return f"{head}{sign}{authority.rpartition('@')[2]}{slash}{path}"


def _bypasses(url: httpx2.URL, no_proxy: str) -> bool:
    """Return whether ``NO_PROXY`` names the host: itself, with its port, its domain or network, or "*" for all."""
    host, port = url.host.lower(), url.port or {"http": 80, "https": 443}[url.scheme]
    for item in no_proxy.lower().split(","):
        name = item.strip()
        bare, colon, tail = name.rpartition(":")
        # An entry with a port holds for that port only
        if colon and tail.isdigit() and (":" not in bare or bare.endswith("]")):
            if int(tail) != port:
                continue
            name = bare
        name = name.removeprefix("*").lstrip(".") if name != "*" else name
        if name and (name == "*" or host == name.strip("[]") or host.endswith(f".{name}") or _in_network(host, name)):
            return True
    return False


def _in_network(host: str, name: str) -> bool:
    """Return whether an IP address lies in a network."""
    try:
        return ip_address(host) in ip_network(name.strip("[]"), strict=False)
    except ValueError:
        return False
