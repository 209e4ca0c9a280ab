"""What holds for every test: no display, no key, no settings from outside."""

from __future__ import annotations

import os
import signal

import pytest

os.environ.setdefault("MUJOCO_GL", "disable")  # before anything imports mujoco

# Run in the background, the tests may be made to ignore Ctrl-C, and the commands that they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

FROM_OUTSIDE = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "REWARDGEN_ENVS", "REWARDGEN_PROMPTS")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the person who runs the tests has set, no test may depend on it, or spend their money."""
    for name in FROM_OUTSIDE:
        monkeypatch.delenv(name, raising=False)
