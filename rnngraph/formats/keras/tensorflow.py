"""Declares TensorFlow functions that Keras 2 stores as layers."""

from __future__ import annotations

from collections.abc import Mapping

from ..operators.backend import ScriptBackend
from ..operators.elementwise import clip_by_value
from ..steps import Value
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Unreadable
from .operands import Operation, operands, option, plain
from .operations import OPERATIONS, declared

_FIRST_OPERAND = (
    "x",
    "input_tensor",
    "input",
    "a",
    "features",
    "logits",
    "values",
    "value",
    "tensor",
    "t",
    "condition",
)
"""Names of the first operand in TensorFlow's functions."""
_RENAMED = {
    "shape": "newshape",
    "perm": "axes",
    "clip_value_min": "x_min",
    "clip_value_max": "x_max",
    "multiples": "repeats",
}
"""{argument's name in TensorFlow: its name in ``keras.ops``}."""
_FUNCTIONS: Mapping[str, str] = {
    "__operators__.add": "Add",
    "__operators__.getitem": "GetItem",
    "__operators__.eq": "Equal",
    "__operators__.ne": "NotEqual",
    "concat": "Concatenate",
    "stack": "Stack",
    "expand_dims": "ExpandDims",
    "squeeze": "Squeeze",
    "reshape": "Reshape",
    "transpose": "Transpose",
    "cast": "Cast",
    "where": "Where",
    "identity": "Identity",
    "linalg.matmul": "Matmul",
    "zeros_like": "ZerosLike",
    "ones_like": "OnesLike",
    "split": "Split",
    "stop_gradient": "StopGradient",
    "one_hot": "OneHot",
    "tile": "Tile",
    "repeat": "Repeat",
    "roll": "Roll",
    "unstack": "Unstack",
    **{
        f"nn.{name}": kind
        for name, kind in {
            "relu": "Relu",
            "relu6": "Relu6",
            "softmax": "Softmax",
            "log_softmax": "LogSoftmax",
            "silu": "Silu",
            "selu": "Selu",
            "softsign": "Softsign",
            "sigmoid": "Sigmoid",
            "tanh": "Tanh",
            "softplus": "Softplus",
        }.items()
    },
    **{
        f"math.{name}": kind
        for name, kind in {
            "add": "Add",
            "subtract": "Subtract",
            "multiply": "Multiply",
            "divide": "Divide",
            "truediv": "TrueDivide",
            "pow": "Power",
            "maximum": "Maximum",
            "minimum": "Minimum",
            "equal": "Equal",
            "not_equal": "NotEqual",
            "greater": "Greater",
            "less": "Less",
            "greater_equal": "GreaterEqual",
            "less_equal": "LessEqual",
            "logical_and": "LogicalAnd",
            "logical_or": "LogicalOr",
            "logical_not": "LogicalNot",
            "abs": "Absolute",
            "negative": "Negative",
            "exp": "Exp",
            "expm1": "Expm1",
            "log": "Log",
            "log1p": "Log1p",
            "sqrt": "Sqrt",
            "square": "Square",
            "sin": "Sin",
            "cos": "Cos",
            "atan": "Arctan",
            "sign": "Sign",
            "erf": "Erf",
            "tanh": "Tanh",
            "sigmoid": "Sigmoid",
            "softplus": "Softplus",
            "reduce_mean": "Mean",
            "reduce_sum": "Sum",
            "reduce_max": "Max",
            "reduce_min": "Min",
            "reduce_any": "Any",
            "reduce_all": "All",
            "floor": "Floor",
            "ceil": "Ceil",
            "round": "Round",
            "reduce_logsumexp": "Logsumexp",
            "reduce_std": "Std",
            "reduce_variance": "Var",
            "rsqrt": "Rsqrt",
            "cumsum": "Cumsum",
        }.items()
    },
}
"""{name of a TensorFlow function: equivalent operation of ``keras.ops``}."""


def _clip(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    low, high = (plain(b, option(layer, inputs, key, place)) for place, key in enumerate(("x_min", "x_max"), 1))
    (x,) = operands(b, inputs, 1)
    return clip_by_value(ScriptBackend(b.script), x, low, high)


_OPERATIONS: Mapping[str, Operation] = {
    "clip_by_value": _clip,
    **{name: OPERATIONS[kind] for name, kind in _FUNCTIONS.items()},
}


def problem_of(layer: Layer) -> str | None:
    """Return the reason why a TensorFlow function is not supported; None if it is."""
    name = layer.config.get("function", None)
    if layer.kind in LAYERS and (not isinstance(name, str) or name not in _OPERATIONS):
        return f"its function {name!r} is not supported"
    return None


def _of_tensorflow(b: Declaration, layer: Layer, inputs: Inputs) -> object:
    """Declare a call of a TensorFlow function, by the equivalent operation of ``keras.ops``."""
    name = layer.config.text("function")
    keywords = dict(inputs.keywords)
    keywords.pop("name", None)
    arguments = list(inputs.arguments)
    if not arguments:
        arguments += [keywords.pop(key) for key in _FIRST_OPERAND if key in keywords][:1]
    arguments += [keywords.pop(key) for key in ("y", "b") if key in keywords]
    if name == "where" and "x" in keywords:
        arguments.insert(1, keywords.pop("x"))
    if any(keywords.get(key) for key in keywords if key.startswith(("transpose_", "adjoint_"))):
        raise Unreadable("transposed or adjoint operands are not supported; call tf.transpose first")
    if any(keywords.get(key) for key in ("exclusive", "reverse")):
        raise Unreadable("exclusive=True and reverse=True are not supported; leave them out")
    if keywords.get("beta") not in (None, 1):
        raise Unreadable(f"its argument beta={keywords['beta']!r} is not supported; it must be 1")
    renamed = {_RENAMED.get(key, key): item for key, item in keywords.items()}
    return declared(_OPERATIONS[name])(b, layer, Inputs(tuple(arguments), renamed))


LAYERS: Mapping[str, Handler] = {"TFOpLambda": _of_tensorflow, "SlicingOpLambda": _of_tensorflow}
