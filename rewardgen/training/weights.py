"""Policies as safetensors files, which contain arrays but no code.

policy.I.weight (out, in), policy.I.bias (out,)      hidden layers, tanh between them, as torch.nn.Linear has them
policy.mean.weight, policy.mean.bias                 the action in units of half its range, around its centre
policy.log_std                                       of exploration, not used by the deterministic policy
value.I.*, value.out.*                               the value function
observation.mean, observation.variance               normalisation, clipped to ±10
action.centre, action.half_range                     actuator units
action.choices                                       only for discrete actions: number of options of each component;
                                                     policy.mean then gives logits, and each component takes the argmax
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rewardgen.errors import UsageError
from rewardgen.training.networks import Shape


@dataclass(frozen=True)
class Weights:
    """Contents of a weights file: the ``tensors`` by name as above, and the networks' ``shape``."""

    shape: Shape
    tensors: dict[str, Tensor]


def expected(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return name → shape of every array in a weights file for networks of this ``shape``."""
    sizes: dict[str, tuple[int, ...]] = {}
    widths = (shape.observation, *shape.hidden)
    for net in ("policy", "value"):
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            sizes[f"{net}.{i}.weight"] = (outputs, inputs)
            sizes[f"{net}.{i}.bias"] = (outputs,)
    sizes["policy.mean.weight"] = (shape.action, widths[-1])
    sizes["value.out.weight"] = (1, widths[-1])
    sizes["value.out.bias"] = (1,)
    for name in ("policy.mean.bias", "policy.log_std", "action.centre", "action.half_range"):
        sizes[name] = (shape.action,)
    if shape.choices:
        sizes["action.choices"] = (len(shape.choices),)
    for name in ("observation.mean", "observation.variance"):
        sizes[name] = (shape.observation,)
    return sizes


def dump(shape: Shape, tensors: dict[str, Tensor], task: str) -> bytes:
    """Return ``tensors`` as safetensors bytes, with the sizes and the task's name as metadata."""
    about = {
        "format": 1,
        "task": task,
        "observation_size": shape.observation,
        "action_size": shape.action,
        "hidden": list(shape.hidden),
        "activation": "tanh",
    }
    # A single entry, because safetensors writes several entries in an order that differs between processes
    metadata = {"rewardgen_policy": json.dumps(about)}
    return save({name: values.detach().cpu().float().contiguous() for name, values in tensors.items()}, metadata)


def parse(data: bytes) -> Weights:
    """Read what ``dump`` wrote and check every array.

    Raises:
        UsageError: the bytes are not safetensors, an array is missing or unknown or has the wrong shape or type, or a
            value is not finite.
    """
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UsageError(f"these bytes are no policy: {error}; give a weights file that rewardgen wrote") from error

    # Compare names with those of a policy of this shape
    shape = _shape(tensors)
    wanted = expected(shape)
    unknown, missing = sorted(set(tensors) - set(wanted)), sorted(set(wanted) - set(tensors))
    if unknown or missing:
        raise UsageError(
            f"this weights file is no policy of rewardgen's: it lacks {missing or 'nothing'}, and it has "
            f"{unknown or 'nothing'} that a policy has not"
        )

    # Check shapes, types and values
    for name, size in wanted.items():
        if tuple(tensors[name].shape) != size or tensors[name].dtype != torch.float32:
            raise UsageError(
                f"the weights file's {name} must be float32 of shape {size}, not {tensors[name].dtype} of shape "
                f"{tuple(tensors[name].shape)}"
            )
        if not torch.isfinite(tensors[name]).all():
            raise UsageError(f"the weights file's {name} holds a NaN or an infinity; train the policy again")
    return Weights(shape, tensors)


def _shape(tensors: dict[str, Tensor]) -> Shape:
    """Infer the networks' sizes from the arrays; raise UsageError if they are not those of a policy."""
    # Hidden layers: policy.0.weight, policy.1.weight, ...
    hidden: list[int] = []
    while (layer := tensors.get(f"policy.{len(hidden)}.weight")) is not None and layer.dim() == 2:
        hidden.append(int(layer.shape[0]))
    if not hidden or "policy.mean.bias" not in tensors:
        raise UsageError("this weights file holds no policy of rewardgen's: it has no arrays policy.0.weight and on")
    choices = tensors.get("action.choices", torch.zeros(0))
    actions = int(tensors["policy.mean.bias"].numel())
    if len(choices) and (choices.dim() != 1 or not bool((choices >= 1).all()) or int(choices.sum()) != actions):
        raise UsageError(f"the weights file's action.choices {choices.tolist()} do not make {actions} columns")
    options = tuple(int(value) for value in choices.tolist())
    return Shape(int(tensors["policy.0.weight"].shape[1]), actions, tuple(hidden), options)
