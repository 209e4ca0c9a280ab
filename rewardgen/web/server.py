"""Answers browsers until it is stopped."""

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
from rewardgen.signing import load_key, server_token, state_folder
from rewardgen.web.app import make_app
from rewardgen.web.guard import Rules

_TOGETHER = 200
"""Requests that are answered at once; beyond them the server says that it is busy."""


@dataclass(frozen=True)
class Pages:
    """A server that is about to answer: the ``urls`` to open, token included, and what is to be said of it.

    Its socket is open already, so that whoever asks from now on is answered as soon as it runs.
    """

    urls: tuple[str, ...]
    notes: tuple[str, ...]
    server: uvicorn.Server
    listening: socket.socket

    @property
    def url(self) -> str:
        """The first address to open."""
        return self.urls[0]

    def run(self) -> None:
        """Answer until Ctrl-C, or until ``stop`` is called from another thread."""
        with self.listening:
            self.server.run(sockets=[self.listening])

    def stop(self) -> None:
        self.server.should_exit = True


def pages(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8421,
    token: str | None = None,
    host_names: Sequence[str] = (),
    control: bool | None = None,
) -> Pages:
    """A server for the runs in ``folder``, listening.

    Args:
        folder: where runs lie, themselves or in folders below.
        host: the address to listen on. Beyond loopback a token is needed: without one, this machine's own is used.
        port: 0 takes one that is free.
        token: what must be shown once by each browser; None takes this machine's own. On loopback that one is needed
            only to start, stop, resume and export runs.
        host_names: further names under which browsers may ask for this server.
        control: whether browsers that have shown the token may start, stop, resume and export runs; None: only where
            the server listens on loopback.

    Raises:
        UsageError: the folder is missing, the address cannot be listened on, or the token is too short.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name the one that holds the runs with --out")
    key, kept = load_key(state_folder())
    own_token = server_token(key, token)
    listening = _listen(host, port)
    local = _is_loopback(listening)
    may_look = local and token is None
    control = local if control is None else control
    names = frozenset({"localhost", *(name.lower() for name in host_names)})
    if not local:
        names |= {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    rules = Rules(key=key, names=names, token=own_token, local=local, open=may_look, control=control)
    config = uvicorn.Config(
        make_app(folder, rules),
        log_level="warning",
        access_log=False,  # an address may hold the token
        server_header=False,
        proxy_headers=False,  # nobody is believed about where a request came from
        limit_concurrency=_TOGETHER,
        timeout_graceful_shutdown=2,
    )
    urls = _urls(listening, own_token if control or not may_look else None)
    return Pages(urls, _notes(local=local, kept=kept, control=control), uvicorn.Server(config), listening)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, taken before anything is said of it."""
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
    """The addresses to open: by name and by number where the server listens on all of them."""
    name, port = listening.getsockname()[:2]
    names = [name]
    if ipaddress.ip_address(name.partition("%")[0]).is_unspecified:
        names = [socket.gethostname(), *_own_addresses(listening.family)]
    query = f"?{urlencode({'token': token})}" if token else ""
    return tuple(
        f"http://[{each}]:{port}/{query}" if ":" in each else f"http://{each}:{port}/{query}" for each in names
    )


def _own_addresses(family: int) -> list[str]:
    """This machine's addresses in digits, the one that leads to other machines first; loopback ones are left out."""
    found: list[str] = []
    elsewhere = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # for documentation: nobody has them
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((elsewhere, 9))  # chooses a route and sends nothing
            found.append(asked.getsockname()[0])
    except OSError:
        pass
    try:
        known = socket.getaddrinfo(socket.gethostname(), None, family, socket.SOCK_STREAM)
        found += [str(place[0]) for *_, place in known]
    except OSError:
        pass
    return [each for each in dict.fromkeys(found) if not ipaddress.ip_address(each.partition("%")[0]).is_loopback]


def _notes(*, local: bool, kept: bool, control: bool) -> tuple[str, ...]:
    notes = []
    if control:
        notes.append("whoever opens the address with its token can start and stop searches; --no-control forbids it")
    if not local:
        notes.append("what is sent is not encrypted: beyond a network that you trust, put it behind HTTPS or SSH")
    if not kept:
        notes.append(f"no key can be kept in {state_folder()}: after a restart everybody has to say their name again")
    return tuple(notes)
