"""GPU-specific parts of the trainer: transfers, random permutations, memory. On the CPU, transfers do nothing.

The rest of the trainer asks only ``on_card``.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def on_card(device: torch.device) -> bool:
    """Return whether to use one operation over all members instead of one operation per member.

    On the CPU each member is reduced separately, so that its rounding does not depend on the other members. On a GPU
    every operation costs a launch of 5 to 10 µs, and the rounding of batched products depends on their size anyway.
    """
    return device.type != "cpu"


def apart(source: torch.device, target: torch.device) -> bool:
    """Return whether tensors must be copied from one device to the other."""
    return source != target


class Crossing:
    """Copies tensors from one device to another, through pinned memory if one of them is a GPU.

    If both devices are the same, the given tensor is returned. Otherwise the result is a buffer that the next tensor of
    the same shape overwrites.
    """

    def __init__(self, source: torch.device, target: torch.device) -> None:
        self._target = target
        self._apart = apart(source, target)
        self._pinned = "cuda" in (source.type, target.type)
        self._buffers: dict[torch.Size, tuple[Tensor, Tensor]] = {}
        self._sent = torch.cuda.Event() if target.type == "cuda" else None

    def __call__(self, values: Tensor) -> Tensor:
        if not self._apart:
            return values
        staged, arrived = self._buffers_for(values)
        if self._sent is not None:
            self._sent.synchronize()  # wait until the previous tensor has left the staging buffer
        staged.copy_(values)  # from a GPU, this waits until the values have arrived
        if arrived is not staged:
            arrived.copy_(staged, non_blocking=True)
        if self._sent is not None:
            self._sent.record(torch.cuda.current_stream(self._target))
        return arrived

    def _buffers_for(self, values: Tensor) -> tuple[Tensor, Tensor]:
        if values.shape not in self._buffers:
            staged = torch.empty(values.shape, dtype=values.dtype, pin_memory=self._pinned)
            remote = torch.empty(values.shape, dtype=values.dtype, device=self._target)
            self._buffers[values.shape] = staged, (staged if self._target.type == "cpu" else remote)
        return self._buffers[values.shape]


class HostCopies:
    """Copies of GPU tensors in host memory, made on a stream of their own, so that they overlap with later GPU work.

    Tensors that are in host memory already are passed through.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._apart = apart(device, torch.device("cpu"))
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._buffers: list[Tensor] = []
        self._copies: tuple[Tensor, ...] = ()

    @property
    def immediate(self) -> bool:
        """Whether no copies are needed."""
        return not self._apart

    def start(self, *values: Tensor) -> None:
        """Start to copy ``values``, which must not change before ``finish``."""
        if not self._apart:
            self._copies = values
            return
        while len(self._buffers) < len(values):
            self._buffers.append(torch.empty(0))
        if self._stream is None:
            self._copies = tuple(self._copy(i, value) for i, value in enumerate(values))
            return
        # Copy only once the work that produces the values is done
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            self._copies = tuple(self._copy(i, value) for i, value in enumerate(values))

    def finish(self) -> tuple[Tensor, ...]:
        """Wait for the copies and return them; the next ``start`` overwrites them."""
        if self._stream is not None:
            self._stream.synchronize()
        copies, self._copies = self._copies, ()
        return copies

    def _copy(self, i: int, value: Tensor) -> Tensor:
        # Both sides are flat and contiguous; otherwise CUDA copies through pageable memory, synchronously
        if self._buffers[i].numel() < value.numel():
            self._buffers[i] = torch.empty(value.numel(), dtype=value.dtype, pin_memory=self._stream is not None)
        copy = self._buffers[i][: value.numel()].view(value.shape)
        return copy.copy_(value.contiguous(), non_blocking=True)


def host_empty(size: Sequence[int], columns: int, device: torch.device, learner: torch.device) -> Tensor:
    """Return an uninitialised float32 tensor ``(*size, columns)`` on ``device``, pinned if ``learner`` is a GPU."""
    pinned = device.type == "cpu" and learner.type == "cuda"
    return torch.empty(*size, columns, device=device, pin_memory=pinned)


def permutations(count: int, generators: Sequence[Generator], device: torch.device) -> Tensor:
    """Return a random permutation of ``range(count)`` from each generator, ``(K, count)`` int64.

    On a GPU the permutations come from sorting random numbers, which takes one draw per member and one sort;
    ``torch.randperm`` takes about ten operations per member. Ties among 63-bit numbers are unlikely and harmless.
    """
    if not on_card(device):
        return torch.stack([torch.randperm(count, generator=own) for own in generators])
    numbers = torch.empty(len(generators), count, dtype=torch.int64, device=device)
    for row, own in zip(numbers, generators, strict=True):
        row.random_(generator=own)
    return numbers.argsort(1)


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all queued work, for exact timings."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory_available(device: torch.device) -> int | None:
    """Return a GPU's free memory in bytes, including torch's unused reserve; None on the CPU."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error or one of its causes means that memory ran out.

    Torch raises its own error class; warp and CUDA raise RuntimeErrors, recognised by their text.
    """
    while error is not None:
        text = str(error).lower()
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or (
            isinstance(error, RuntimeError) and ("out of memory" in text or "failed to allocate" in text)
        ):
            return True
        error = error.__cause__
    return False


def release_memory(device: torch.device) -> None:
    """Release unused memory of torch, so that other users of the GPU (mujoco_warp allocates its own) can have it."""
    gc.collect()  # frees tensors that are still held by reference cycles
    if device.type == "cuda":
        torch.cuda.empty_cache()
