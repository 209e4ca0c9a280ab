"""What is different where a graphics card takes part. Where everything is on the processor, all of it does nothing.

No other part of the trainer asks what kind of device it works on.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def on_card(device: torch.device) -> bool:
    """Whether one operation over all members is to be preferred to one for each member.

    On the processor a member's sums are taken by themselves, so that they round alike whoever it is trained with. On a
    card every operation costs a launch of 5 to 10 µs, and batched products round differently with their size anyway.
    """
    return device.type != "cpu"


def apart(source: torch.device, target: torch.device) -> bool:
    """Whether what is on one device must be copied to be used on the other."""
    return source != target


class Crossing:
    """Takes tensors from one device to another; a card's traffic goes through pinned memory.

    The tensor that comes back is the one that was given where both devices are the same, and otherwise a buffer that
    the next tensor of its shape overwrites.
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
            self._sent.synchronize()  # the last tensor has left the staging buffer
        staged.copy_(values)  # from a card, this waits until the values are there
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
    """Copies of a device's tensors in the processor's memory, made beside what the device does next.

    Tensors that are with the processor already are handed through.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._apart = apart(device, torch.device("cpu"))
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._buffers: list[Tensor] = []
        self._copies: tuple[Tensor, ...] = ()

    @property
    def immediate(self) -> bool:
        return not self._apart

    def start(self, *values: Tensor) -> None:
        """Begin to copy. Nobody may write to ``values`` before ``finish``."""
        if not self._apart:
            self._copies = values
            return
        while len(self._buffers) < len(values):
            self._buffers.append(torch.empty(0))
        if self._stream is None:
            self._copies = tuple(self._copy(i, value) for i, value in enumerate(values))
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            self._copies = tuple(self._copy(i, value) for i, value in enumerate(values))

    def finish(self) -> tuple[Tensor, ...]:
        """Wait for the copies; the next ``start`` writes over them."""
        if self._stream is not None:
            self._stream.synchronize()
        copies, self._copies = self._copies, ()
        return copies

    def _copy(self, i: int, value: Tensor) -> Tensor:
        # Flat and contiguous at both ends: anything else would be copied through pageable memory, and waited for.
        if self._buffers[i].numel() < value.numel():
            self._buffers[i] = torch.empty(value.numel(), dtype=value.dtype, pin_memory=self._stream is not None)
        copy = self._buffers[i][: value.numel()].view(value.shape)
        return copy.copy_(value.contiguous(), non_blocking=True)


def host_empty(size: Sequence[int], columns: int, device: torch.device, learner: torch.device) -> Tensor:
    """An empty float32 tensor ``(*size, columns)`` on ``device``; pinned if a card reads it there."""
    pinned = device.type == "cpu" and learner.type == "cuda"
    return torch.empty(*size, columns, device=device, pin_memory=pinned)


def permutations(count: int, generators: Sequence[Generator], device: torch.device) -> Tensor:
    """A random order of ``range(count)`` for each generator, ``(K, count)`` int64, drawn from that generator alone.

    On a card by sorting random numbers, two operations and one draw for each member: ``torch.randperm`` takes about
    ten for each. Equal numbers among 2^63 are unlikely and harmless.
    """
    if not on_card(device):
        return torch.stack([torch.randperm(count, generator=own) for own in generators])
    numbers = torch.empty(len(generators), count, dtype=torch.int64, device=device)
    for row, own in zip(numbers, generators, strict=True):
        row.random_(generator=own)
    return numbers.argsort(1)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was told to: for those who take the time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory_available(device: torch.device) -> int | None:
    """Free bytes of a card, those that torch holds in reserve included; None where memory is the processor's."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that memory ran out.

    Torch has an error of its own for that; warp and CUDA raise RuntimeErrors.
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
    """Give back what is no longer used, so that others on the card (mujoco_warp allocates by itself) can have it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
