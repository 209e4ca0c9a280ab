"""The server over HTTP, driven through a real socket by the SDK's own client and by requests that must be refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rewardgen.errors import UsageError
from rewardgen.mcp import make_http_server

pytest.importorskip("mcp")
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from rewardgen.mcp.http import HttpServer

EXAMPLE = Path(__file__).parents[1] / "tasks" / "example"
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = make_http_server(tmp_path / "runs", [EXAMPLE])
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()


async def call(server: HttpServer, token: str, tool: str, **arguments: Any) -> dict[str, Any]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=60) as http,
        Client(streamable_http_client(server.url, http_client=http)) as client,
    ):
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, result
        return dict(result.structured_content or {})


def test_a_client_with_the_token_calls_tools_and_one_without_cannot_connect(server: HttpServer) -> None:
    assert asyncio.run(call(server, server.token, "list_runs")) == {"runs": []}
    found = asyncio.run(call(server, server.token, "list_tasks", contains="slider/"))
    assert [task["name"] for task in found["tasks"]] == ["slider/park"]
    for wrong in ("", "x" * 32, server.token[:-1], server.token + "0"):
        with pytest.RaisesGroup(MCPError, flatten_subgroups=True):
            asyncio.run(call(server, wrong, "list_runs"))


def test_requests_without_the_token_or_from_elsewhere_are_refused(server: HttpServer) -> None:
    admitted = {
        "Authorization": f"Bearer {server.token}",
        "Accept": "application/json, text/event-stream",
    }
    port = httpx2.URL(server.url).port

    def status(**headers: str) -> int:
        given = {**admitted, **headers}
        return httpx2.post(
            server.url, json=HELLO, headers={k: v for k, v in given.items() if v}, timeout=60
        ).status_code

    assert status() == 200
    assert status(Host=f"localhost:{port}", Origin=f"http://localhost:{port}") == 200
    # No token, a wrong one, one in another form or in the address
    assert status(Authorization="") == 401
    assert status(Authorization="Bearer wrong") == 401
    assert status(Authorization=f"Basic {server.token}") == 401
    assert status(Authorization=server.token) == 401
    assert httpx2.post(f"{server.url}?token={server.token}", json=HELLO, timeout=60).status_code == 401
    assert httpx2.get(server.url.replace("/mcp", "/"), timeout=60).status_code == 401
    # A foreign name for the loopback address, another server's port, another site's page
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1:1", f"127.0.0.1.evil.example:{port}"):
        assert status(Host=host) == 421, host
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"https://evil.example:{port}"):
        assert status(Origin=origin) == 403, origin
    # A body that no argument needs
    large = httpx2.post(server.url, content=b" " * (2 << 20), headers={**admitted, "Content-Type": "application/json"},
                        timeout=60)  # fmt: skip
    assert large.status_code == 413


def test_it_listens_on_the_loopback_address_alone(server: HttpServer) -> None:
    assert server.listening.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_and_a_token_that_can_be_guessed(server: HttpServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot listen on"):
        make_http_server(tmp_path, port=server.listening.getsockname()[1])
    with pytest.raises(UsageError, match="can be guessed"):
        make_http_server(tmp_path, token="short")


@pytest.mark.slow
def test_the_token_is_that_of_the_pages(server: HttpServer, tmp_path: Path) -> None:
    from rewardgen.web import pages

    web = pages(tmp_path, port=0)
    web.listening.close()
    assert server.token in web.url
