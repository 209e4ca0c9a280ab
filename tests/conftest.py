"""What holds for every test: no display, no key, no settings from outside."""

from __future__ import annotations

import os
import signal

import pytest

os.environ.setdefault("MUJOCO_GL", "disable")  # before anything imports mujoco

# Whoever runs the tests in the background may have them ignore Ctrl-C, and the commands that they start would inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)

FROM_OUTSIDE = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "REWARDGEN_ENVS", "REWARDGEN_PROMPTS")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the person who runs the tests has set, no test may depend on it, or spend their money."""
    for name in FROM_OUTSIDE:
        monkeypatch.delenv(name, raising=False)
