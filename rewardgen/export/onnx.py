"""Write a policy as an ONNX model: observations in, the environment's actions out, normalisation and scaling inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rewardgen.errors import MissingPackage
from rewardgen.training.weights import Weights, parse

if TYPE_CHECKING:
    import onnx

_OPSET, _IR = 17, 8  # onnxruntime has read these since 1.15
_LIMITS = {"low": -10.0, "high": 10.0}  # of normalised observations
_FLOAT, _INT64 = 1, 7  # onnx.TensorProto.FLOAT and INT64, which type checkers do not see


def to_onnx(weights: bytes, shape: Sequence[int], start: Sequence[int], name: str) -> bytes:
    """Return the deterministic policy of ``weights`` (safetensors bytes) as an ONNX model.

    Its input ``observation`` is ``(n, observation_size)`` float32, its output ``action`` ``(n, *shape)``: float32 in
    the actuators' units, or int64 for discrete actions.

    Args:
        weights: as ``rewardgen.training.weights`` describes them.
        shape: of one action of the environment.
        start: of discrete actions, the number of each component's first option; else empty.
        name: of the graph.

    Raises:
        MissingPackage: onnx is not installed.
        UsageError: the weights are not those of a policy.
    """
    policy = parse(weights)
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        command = "pip install 'rewardgen[onnx]'"
        raise MissingPackage(f"ONNX models need the package onnx: {command}", command) from error
    graph = _Graph(onnx)
    flow = _network(graph, policy)
    discrete = bool(policy.shape.choices)
    flow = _options(graph, flow, policy.shape.choices, start) if discrete else _command(graph, flow, policy)
    graph.node("Reshape", flow, graph.constant("shape", np.array([-1, *shape], np.int64)), output="action")
    made = helper.make_graph(
        graph.nodes,
        name,
        [helper.make_tensor_value_info("observation", _FLOAT, ["n", policy.shape.observation])],
        [helper.make_tensor_value_info("action", _INT64 if discrete else _FLOAT, ["n", *shape])],
        graph.constants,
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="rewardgen"
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """Collects nodes and constants."""

    def __init__(self, package: Any) -> None:
        self._onnx = package
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add one operation and return the name of its output, the first if there are several."""
        results = list(outputs) or [output or f"{kind.lower()}_{len(self.nodes)}"]
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), results, **attributes))
        return results[0]


def _network(graph: _Graph, policy: Weights) -> str:
    """Add normalisation and layers; return the output, ``(n, columns)``."""
    tensors = {name: values.numpy() for name, values in policy.tensors.items()}
    scale = torch.rsqrt(policy.tensors["observation.variance"].double() + 1e-8).float().numpy()
    # Normalise
    flow = graph.node("Sub", "observation", graph.constant("observation.mean", tensors["observation.mean"]))
    flow = graph.node("Mul", flow, graph.constant("observation.scale", scale))
    low, high = (graph.constant(f"observation.{end}", np.array(value, np.float32)) for end, value in _LIMITS.items())
    flow = graph.node("Clip", flow, low, high)
    # Hidden layers
    for layer in (*map(str, range(len(policy.shape.hidden))), "mean"):
        weight, bias = (f"policy.{layer}.{part}" for part in ("weight", "bias"))
        inputs = graph.constant(weight, tensors[weight]), graph.constant(bias, tensors[bias])
        flow = graph.node("Gemm", flow, *inputs, transB=1)
        if layer != "mean":
            flow = graph.node("Tanh", flow)
    return flow


def _command(graph: _Graph, flow: str, policy: Weights) -> str:
    """Scale to the actions' range and clip to it."""
    centre, half = (policy.tensors[f"action.{part}"] for part in ("centre", "half_range"))
    parts = {"centre": centre, "half_range": half, "low": centre - half, "high": centre + half}
    named = {name: graph.constant(f"action.{name}", values.numpy()) for name, values in parts.items()}
    flow = graph.node("Add", graph.node("Mul", flow, named["half_range"]), named["centre"])
    return graph.node("Min", graph.node("Max", flow, named["low"]), named["high"])


def _options(graph: _Graph, flow: str, choices: Sequence[int], start: Sequence[int]) -> str:
    """Take the option with the largest logit of each component, numbered from ``start``: ``(n, components)`` int64."""
    parts = [flow]
    if len(choices) > 1:
        parts = [f"logits_{component}" for component in range(len(choices))]
        graph.node("Split", flow, graph.constant("choices", np.array(choices, np.int64)), outputs=parts, axis=1)
    taken = [graph.node("ArgMax", part, axis=1, keepdims=1) for part in parts]
    chosen = graph.node("Concat", *taken, axis=1) if len(taken) > 1 else taken[0]
    return graph.node("Add", chosen, graph.constant("start", np.array(start, np.int64)))
