"""The devices that a test of GPU code runs on: Warp's CPU device, and a GPU where there is one."""

from __future__ import annotations

import pytest
import torch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
DEVICES = ["cpu", pytest.param("cuda:0", marks=needs_gpu)]
