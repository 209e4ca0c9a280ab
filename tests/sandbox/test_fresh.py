"""What a fresh process of the sandbox is given."""

from __future__ import annotations

import json
import tempfile

import pytest

from rewardgen.sandbox.fresh import said, start


def test_no_gpu_is_visible_and_libraries_get_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's driver starts threads, after which the server could not fork, and no worker may touch a device."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    code = "import torch\nsys.stderr.write(json.dumps([dict(os.environ), len(os.listdir('/proc/self/task'))]))"
    with tempfile.TemporaryFile() as log:
        assert start(code, (), (), log).wait() == 0
        environment, threads = json.loads(said(log).removeprefix(": "))
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["HIP_VISIBLE_DEVICES"]) == ("", "")
    assert environment["OMP_NUM_THREADS"] == "1"
    assert "OPENAI_API_KEY" not in environment
    assert threads == 1
