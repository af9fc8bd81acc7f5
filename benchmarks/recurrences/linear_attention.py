"""onnxruntime's ``LinearAttention``: gated linear attention and gated DeltaNet, with elementwise nodes before it.

The parts of the raw input are separate inputs, so that no time is spent on splitting. The operator is that of ONNX's
opset 27, or onnxruntime's in the domain com.microsoft: the faster of those that a session supports.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import peers
from workloads import Call

from .rows import Row, parts

RULES = {"GLA": "gated", "GDN": "gated_delta"}
DOMAINS = ("", "com.microsoft")
OPSET = 27


def has(row: Row) -> bool:
    """True if the operator has the recurrence, and the installed packages have the operator."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return False
    return row.kind in RULES and bool(onnx.defs and onnxruntime and _sessions(row, carried=False))


def inference(row: Row) -> list[Call]:
    feed = dict(zip("qkvbg" if row.kind == "GDN" else "qkvg", parts(row.inputs(), row), strict=True))
    return [lambda session=session: session.run(["y"], feed)[0] for session in _sessions(row, carried=False)]


def step(row: Row) -> list[Call]:
    """Return calls of one step, with two buffers for the state: each call reads the one that the last call wrote."""
    return [_bound(session, row) for session in _sessions(row, carried=True)]


def _bound(session: Any, row: Row) -> Call:
    from onnxruntime import OrtValue

    value = OrtValue.ortvalue_from_numpy
    feed = dict(zip("qkvbg" if row.kind == "GDN" else "qkvg", parts(row.inputs(), row), strict=True))
    fed = {name: value(array) for name, array in feed.items()}
    y = value(np.zeros((row.batch, 1, row.channels), np.float32))
    sides = [value(np.zeros((row.batch, *row.states()[0]), np.float32)) for _ in range(2)]
    bindings = []
    for before, after in (sides, sides[::-1]):
        binding = session.io_binding()
        for name, array in (fed | {"past": before}).items():
            binding.bind_ortvalue_input(name, array)
        binding.bind_ortvalue_output("y", y)
        binding.bind_ortvalue_output("present", after)
        bindings.append(binding)

    def call() -> np.ndarray:
        session.run_with_iobinding(bindings[0])
        bindings.reverse()
        return y.numpy()

    return call


def _sessions(row: Row, carried: bool) -> list[Any]:
    """Return a session for each domain whose operator the runtime supports."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = peers.THREADS, 1
    options.log_severity_level = 4
    refusals = errors.Fail, errors.InvalidGraph, errors.NotImplemented, errors.InvalidArgument
    sessions = []
    for domain in DOMAINS:
        try:
            model = model_of(row, domain, carried)
            sessions.append(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]))
        except refusals:
            continue
    return sessions


def model_of(row: Row, domain: str, carried: bool) -> bytes:
    """Return the recurrence as a serialized model. If ``carried``, the state is an input and an output."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {}

    def node(op: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [f"{op}_{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def constant(*values: float, dtype: Any = np.float32) -> str:
        name = f"constant_{len(constants)}"
        constants[name] = np.array(values, dtype)
        return name

    def unit(name: str) -> str:
        heads = node("Reshape", name, constant(0, 0, row.heads, row.size, dtype=np.int64))
        squares = node("ReduceSumSquare", heads, constant(3, dtype=np.int64))
        length = node("Sqrt", node("Add", squares, constant(1e-6)))
        return node("Reshape", node("Div", heads, length), constant(0, 0, row.channels, dtype=np.int64))

    delta = row.kind == "GDN"
    decay = node("Mul", node("Softplus", node("Neg", "g")), constant(-1 / 4 if delta else -1 / 16))
    q, k = (unit(name) if delta else name for name in "qk")
    rate = [node("Sigmoid", "b")] if delta else []
    nodes.append(
        helper.make_node(
            "LinearAttention",
            [q, k, "v", "past" if carried else "", decay, *rate],
            ["y", "present"],
            domain=domain,
            q_num_heads=row.heads,
            kv_num_heads=row.heads,
            scale=1.0,
            update_rule=RULES[row.kind],
        )
    )

    def value(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    state = ("batch", *row.states()[0])
    inputs = [value(name, "batch", "time", row.channels) for name in "qkv"]
    inputs += [value(name, "batch", "time", row.heads) for name in ("bg" if delta else "")]
    inputs += [] if delta else [value("g", "batch", "time", row.channels)]
    outputs = [value("y", "batch", "time", row.channels)]
    if carried:
        inputs.append(value("past", *state))
        outputs.append(value("present", *state))
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, row.kind, inputs, outputs, initializers)
    imports = [helper.make_opsetid("", 18 if domain else OPSET)] + [helper.make_opsetid(domain, 1)] * bool(domain)
    return bytes(helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString())
