"""What tokens cost, and the proxy that requests go through."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rewardgen.errors import BudgetExceeded, ConfigError
from rewardgen.llm import Budget, Price, Prices
from rewardgen.llm.transport import Secret, proxy_for


def test_dollars_by_hand() -> None:
    price = Price(input=2.0, output=8.0, cached_input=0.5)
    # 900 new prompt tokens at 2, 100 cached at 0.5, 300 answered at 8, all per million
    assert price.dollars(1000, 300, 100) == pytest.approx((1800 + 50 + 2400) / 1e6)
    assert Price(2.0, 8.0).dollars(1000, 0, 400) == pytest.approx(2000 / 1e6)


def test_our_table() -> None:
    prices = Prices.load()
    assert len(prices) > 20
    assert prices.of("gpt-4o-mini") == Price(input=0.15, output=0.60, cached_input=0.075)
    assert prices.of("gpt-4o-mini-2024-07-18") == prices.of("gpt-4o-mini")
    assert prices.of("openai/gpt-4o-mini") == prices.of("gpt-4o-mini")
    assert prices.of("claude-haiku-4-5-20251001") == prices.of("claude-haiku-4-5")
    assert prices.of("gpt-4o-huge") is None, "a name that only looks alike has no price"
    assert "no-such-model" not in prices


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
    ],
)
def test_proxies(url: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(url, environ) == proxy


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret("abc123")
    assert "abc123" not in f"{secret} {secret!r} {[secret]}"
    assert secret.mask("key=abc123;") == "key=***;"
    assert secret.reveal() == "abc123"
