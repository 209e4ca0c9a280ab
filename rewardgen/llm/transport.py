"""How requests leave: with the key, through the proxy that the environment names, with a bound on what comes back.

The key is added here, at the very edge. The client above never holds it, so none of its objects, errors or logs can
show it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import httpx2

MAX_BODY_BYTES = 32 * 2**20
"""An answer larger than this is refused without being read to its end."""


class BodyTooLarge(httpx2.TransportError):
    """The server sent more than ``MAX_BODY_BYTES``."""


class Secret:
    """A string that no ``repr``, ``str`` or format shows."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def mask(self, text: str) -> str:
        """``text`` with every occurrence of the secret hidden."""
        return text.replace(self._value, "***") if self._value else text


class EdgeTransport(httpx2.AsyncBaseTransport):
    """Adds the key, reads bodies up to a bound, and unpacks compressed ones up to the same bound."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, key: Secret) -> None:
        self._inner, self._key = inner, key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = httpx2.Headers(request.headers)
        headers["Authorization"] = f"Bearer {self._key.reveal()}"
        headers["Accept-Encoding"] = "identity"
        # a copy: the request that errors refer to stays without the key
        sent = httpx2.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        response = await self._inner.handle_async_request(sent)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        left = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _BODY_HEADERS]
        return httpx2.Response(response.status_code, headers=left, content=body, extensions=response.extensions)

    async def aclose(self) -> None:
        await self._inner.aclose()


_BODY_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    async for part in response.stream:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"more than {MAX_BODY_BYTES // 2**20} MiB")
    if response.headers.get("content-encoding", "identity").lower() not in ("gzip", "deflate"):
        return bytes(body)
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(bytes(body), MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise httpx2.RemoteProtocolError(f"a compressed body that cannot be unpacked: {error}") from error
    if len(plain) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"more than {MAX_BODY_BYTES // 2**20} MiB once unpacked")
    return plain


def make_transport(base_url: str, key: Secret, environ: Mapping[str, str]) -> EdgeTransport:
    """A transport for ``base_url`` through the proxy that ``environ`` names for it, if it names one."""
    return EdgeTransport(httpx2.AsyncHTTPTransport(proxy=proxy_for(base_url, environ)), key)


def _bypasses(host: str, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` names the host: itself, a domain that it is in, or "*" for all."""
    names = [name.strip().lstrip(".").lower() for name in no_proxy.split(",") if name.strip()]
    return any(name == "*" or host == name or host.endswith(f".{name}") for name in names)


def proxy_for(base_url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy by the usual variables (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, either case)."""
    url = httpx2.URL(base_url)
    named = {name.lower(): value for name, value in environ.items() if name.lower().endswith("_proxy") and value}
    if _bypasses(url.host, named.get("no_proxy", "")):
        return None
    return named.get(f"{url.scheme}_proxy") or named.get("all_proxy")
