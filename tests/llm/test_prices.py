"""What tokens cost, and the proxy that requests go through."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from rewardgen.errors import BudgetExceeded, ConfigError
from rewardgen.llm import Budget, Price, Prices
from rewardgen.llm.secrets import Secret, read_key
from rewardgen.llm.transport import proxy_for


def test_dollars_by_hand() -> None:
    price = Price(input=2.0, output=8.0, cached_input=0.5)
    # 900 new prompt tokens at 2, 100 cached at 0.5, 300 answered at 8, all per million
    assert price.dollars(1000, 300, 100) == pytest.approx((1800 + 50 + 2400) / 1e6)
    assert Price(2.0, 8.0).dollars(1000, 0, 400) == pytest.approx(2000 / 1e6)


def test_the_librarys_lists() -> None:
    prices = Prices.load()
    assert prices.of("gpt-4o-mini") == Price(input=0.15, output=0.60, cached_input=0.075)
    assert prices.of("gpt-4o-mini-2024-07-18") == prices.of("gpt-4o-mini")
    assert prices.of("openai/gpt-4o-mini") == prices.of("gpt-4o-mini")
    assert prices.of("claude-haiku-4-5-20251001") == prices.of("claude-haiku-4-5")
    assert prices.of("gpt-4o-huge") is None, "a name that only looks alike has no price"
    assert prices.of("no-such-model") is None


def test_a_price_is_that_of_the_endpoint() -> None:
    prices = Prices.load()
    openrouter, openai, own = "https://openrouter.ai/api/v1", "https://api.openai.com/v1", "http://localhost:4000/v1"
    assert prices.of("openai/gpt-4o-mini", openrouter) is not None
    assert prices.of("gpt-4o-mini", openrouter) is None, "it is not called so there"
    assert prices.of("claude-haiku-4-5", openai) is None
    assert prices.of("gpt-4o-mini", own) == prices.of("gpt-4o-mini", openai), "behind a proxy of one's own"
    assert prices.of("gpt-oss-20b", own) is None, "an open model on one's own machine"
    assert prices.of("gpt-oss-20b", openai) is not None


def test_prices_come_without_a_network() -> None:
    script = (
        "import socket\n"
        "def refuse(*arguments, **more): raise OSError('no network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from rewardgen.llm.prices import Prices\n"
        "import threading\n"
        "assert Prices.load().of('gpt-4o-mini').output == 0.6\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)


def test_a_file_overrides_and_adds(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("models:\n  gpt-4o: {input: 1, output: 2}\n  mine: {input: 0, output: 0}\n")
    prices = Prices.load(path)
    assert prices.of("gpt-4o") == Price(1.0, 2.0)
    assert prices.of("mine") == Price(0.0, 0.0)
    assert prices.of("gpt-4o-mini") == Prices.load().of("gpt-4o-mini")


@pytest.mark.parametrize(
    "content",
    ["[]", "models: 3", "models:\n  m: {input: 1}", "models:\n  m: {input: -1, output: 1}",
     "models:\n  m: {input: 1, output: x}", "models:\n  m: {input: 1, output: 1, outptu: 1}",
     "models:\n  m: {input: .nan, output: 1}", "models: ["],
)  # fmt: skip
def test_a_wrong_file_says_where(tmp_path: Path, content: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"prices\.yaml"):
        Prices.load(path)


def test_reservations_of_several_threads_stay_within_the_budget() -> None:
    budget = Budget(tokens=1000)
    held, refused = [], []

    def reserve() -> None:
        try:
            held.append(budget.reserve(0.0, 300))
        except BudgetExceeded:
            refused.append(1)

    threads = [threading.Thread(target=reserve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (3, 5)
    for reservation in held:
        reservation.settle(0.0, 100)
        reservation.keep()  # a second settlement has no effect
    assert budget.spent == (0.0, 300, 3)
    budget.reserve(0.0, 700)


def test_what_was_spent_before_counts() -> None:
    with pytest.raises(BudgetExceeded, match="calls"):
        Budget(calls=3, spent_calls=3).reserve(0.0, 1)
    with pytest.raises(BudgetExceeded, match=r"\$0\.0500 is left"):
        Budget(dollars=1.0, spent_dollars=0.95).reserve(0.06, 1)


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://host/v1", {}, None),
        ("https://host/v1", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("http://host/v1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("http://host/v1", {"all_proxy": "http://p:1"}, "http://p:1"),
        ("https://host/v1", {"https_proxy": "http://p:1", "NO_PROXY": "host"}, None),
        ("https://api.host/v1", {"https_proxy": "http://p:1", "no_proxy": "x, .host"}, None),
        ("https://otherhost/v1", {"https_proxy": "http://p:1", "no_proxy": "host"}, "http://p:1"),
        ("http://127.0.0.1:8765/v1", {"http_proxy": "http://p:1", "NO_PROXY": "127.0.0.1:8765"}, None),
        ("http://127.0.0.1:8765/v1", {"http_proxy": "http://p:1", "NO_PROXY": "127.0.0.1:8766"}, "http://p:1"),
        ("http://127.0.0.1:8765/v1", {"http_proxy": "http://p:1", "NO_PROXY": "localhost,127.0.0.0/8"}, None),
        ("http://10.1.2.3/v1", {"http_proxy": "http://p:1", "NO_PROXY": "127.0.0.0/8"}, "http://p:1"),
        ("http://[::1]:8000/v1", {"http_proxy": "http://p:1", "NO_PROXY": "::1"}, None),
        ("http://[::1]:8000/v1", {"http_proxy": "http://p:1", "NO_PROXY": "[::1]:8000"}, None),
        ("http://host/v1", {"http_proxy": "http://p:1", "NO_PROXY": "host:80"}, None),
        ("http://api.host/v1", {"http_proxy": "http://p:1", "NO_PROXY": "*.host"}, None),
        ("http://host/v1", {"http_proxy": "http://p:1", "NO_PROXY": "*"}, None),
    ],
)
def test_proxies(url: str, environ: dict[str, str], proxy: str | None) -> None:
    found = proxy_for(url, environ)
    assert (found.url if found else None) == proxy


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("socks://127.0.0.1:7890/", "write socks5://127.0.0.1:7890"),
        ("socks5://127.0.0.1:7890", "pip install socksio"),
        ("127.0.0.1:7890", "no scheme; write http://127.0.0.1:7890"),
        ("ftp://127.0.0.1:7890", "HTTP or SOCKS proxy"),
        ("http://", "no host"),
        ("http://host:99999", "no host"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_with_its_variable(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        proxy_for("http://host/v1", {"ALL_PROXY": url})
    assert "ALL_PROXY" in str(caught.value) and "NO_PROXY" in str(caught.value)


@pytest.mark.parametrize("url", ["http://me:pass%20word@127.0.0.1:1", "me:pass%20word@p:1", "ftp://me:pass%20word@p:1"])
def test_a_proxys_password_is_never_shown(url: str) -> None:
    try:
        found = proxy_for("http://host/v1", {"HTTP_PROXY": url})
        assert found is not None
        told = f"{found} {found!r} {found.shown}"
        assert found.passwords == ["pass word", "pass%20word"]
    except ConfigError as error:
        told = str(error)
    assert "pass" not in told and "HTTP_PROXY" in told


# ---- keys


@pytest.mark.parametrize(
    "key", ["sk-first-line\nsecond-line", "sk-first\r\nsecond", "sk-first\x00x", "sk-fi\u200brst", "sk-ключ"]
)
def test_a_key_that_cannot_be_one_is_refused_by_its_variable_alone(key: str) -> None:
    with pytest.raises(ConfigError, match="MY_KEY") as caught:
        read_key({"MY_KEY": key}, "MY_KEY")
    assert "sk-" not in str(caught.value) and "second" not in str(caught.value)


def test_a_key_is_read_without_the_spaces_around_it() -> None:
    assert read_key({"MY_KEY": " sk-abc\n"}, "MY_KEY") == "sk-abc"
    assert read_key({"MY_KEY": "  \n"}, "MY_KEY") is None
    assert read_key({}, "MY_KEY") is None
    assert read_key({"": "x"}, None) is None


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret("abc12345")
    assert "abc12345" not in f"{secret} {secret!r} {[secret]}"
    assert secret.mask("key=abc12345;") == "key=***;"
    assert secret.reveal() == "abc12345"


@pytest.mark.parametrize("value", ["it's-a\\back\"slash", "two\nlines-of-it", "pass word/with+signs"])
def test_a_secret_is_masked_in_every_form_that_it_takes(value: str) -> None:
    forms = [
        value,
        repr(value)[1:-1],
        repr(value.encode())[2:-1],
        json.dumps(value)[1:-1],
        quote(value),
        quote(value, ""),
    ]
    told = Secret("another-one", value).mask(" | ".join(forms))
    assert told == " | ".join(["***"] * len(forms))


def test_a_word_that_local_servers_take_for_a_key_tears_no_holes_into_replies() -> None:
    assert Secret("none").mask("if x is none") == "if x is none"
