"""The web server: addresses, token and life cycle."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import uvicorn

from rewardgen.errors import UsageError
from rewardgen.serving import ClosingServer, ListeningServer
from rewardgen.signing import load_key, server_token, state_folder
from rewardgen.web.app import make_app
from rewardgen.web.guard import Rules

MAX_CONCURRENT = 200
"""Max. concurrent requests; the server rejects more."""


@dataclass(frozen=True)
class Pages(ListeningServer):
    """The pages' server: the ``urls`` to open, with the token, and ``notes`` for the person who starts it."""

    urls: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def url(self) -> str:
        """The first URL to open."""
        return self.urls[0]


def pages(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8421,
    token: str | None = None,
    host_names: Sequence[str] = (),
    control: bool | None = None,
) -> Pages:
    """Make a listening server for the runs in ``folder``.

    Args:
        folder: contains the runs, directly or in folders below.
        host: the address to listen on. Other addresses than loopback need a token.
        port: 0 chooses a free one.
        token: each browser must show it once; None uses this machine's own, which is needed on loopback only to act on
            runs.
        host_names: further host names of this server.
        control: whether browsers that have shown the token may act on runs (start, stop, resume, extend, export them,
            and answer requests); None: only if the server listens on loopback.

    Raises:
        UsageError: the folder is missing, the address cannot be listened on, or the token is too short.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name the one that holds the runs with --out")
    # Listen first: what follows depends on the address
    key, kept = load_key(state_folder())
    own_token = server_token(key, token)
    listening = _listen(host, port)
    local = _is_loopback(listening)
    may_look = local and token is None
    control = local if control is None else control
    # Host names that requests may have
    names = frozenset({"localhost", *(name.lower() for name in host_names)})
    if not local:
        names |= {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    rules = Rules(key=key, names=names, token=own_token, local=local, open=may_look, control=control)
    config = uvicorn.Config(
        make_app(folder, rules),
        log_level="warning",
        access_log=False,  # a URL may contain the token
        server_header=False,
        proxy_headers=False,  # headers about the origin of a request are not trusted
        limit_concurrency=MAX_CONCURRENT,
        timeout_graceful_shutdown=2,
    )
    urls = _urls(listening, own_token if control or not may_look else None)
    return Pages(ClosingServer(config), listening, urls, _notes(local=local, kept=kept, control=control))


def _listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        UsageError: the address cannot be listened on.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        if os.name == "posix":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(place)
        opened.listen(128)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error}; name another with --host or --port"
        ) from error
    return opened


def _is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def _urls(listening: socket.socket, token: str | None) -> tuple[str, ...]:
    """Return the URLs to open: by name and by numeric address if the server listens on all interfaces."""
    # All interfaces: the address listened on cannot be opened
    name, port = listening.getsockname()[:2]
    names = [name]
    if ipaddress.ip_address(name.partition("%")[0]).is_unspecified:
        names = [socket.gethostname(), *_own_addresses(listening.family)]
    query = f"?{urlencode({'token': token})}" if token else ""
    return tuple(
        f"http://[{each}]:{port}/{query}" if ":" in each else f"http://{each}:{port}/{query}" for each in names
    )


def _own_addresses(family: int) -> list[str]:
    """Return this machine's numeric addresses without loopback, that of the default route first."""
    # The address of the default route
    found: list[str] = []
    elsewhere = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # reserved for documentation
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((elsewhere, 9))  # UDP: chooses a route, sends nothing
            found.append(asked.getsockname()[0])
    except OSError:
        pass
    # Further addresses of the host name
    try:
        known = socket.getaddrinfo(socket.gethostname(), None, family, socket.SOCK_STREAM)
        found += [str(place[0]) for *_, place in known]
    except OSError:
        pass
    return [each for each in dict.fromkeys(found) if not ipaddress.ip_address(each.partition("%")[0]).is_loopback]


def _notes(*, local: bool, kept: bool, control: bool) -> tuple[str, ...]:
    """Return what the person who starts the server should know."""
    notes = []
    if control:
        notes.append(
            "whoever opens the address with its token can start and stop searches; --no-control switches this off"
        )
    if not local:
        notes.append("traffic is not encrypted: outside of a trusted network use an HTTPS proxy or SSH")
    if not kept:
        notes.append(
            f"no key can be stored in {state_folder()}: after a restart everybody has to enter their name again"
        )
    return tuple(notes)
