"""Constructors of cells and of attention, with the signatures of TensorFlow 1.15.5."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ....declare.cell import Cell
from ....declare.cells.basic import Activation
from ....declare.functions.randomness import KeepProb
from ....declare.tensor import Tensor

SIGNATURES = {
    "BasicRNNCell": "num_units, activation=None, reuse=None, name=None, dtype=None, **kwargs",
    "BasicLSTMCell": "num_units, forget_bias=1.0, state_is_tuple=True, activation=None, reuse=None, name=None, "
    "dtype=None, **kwargs",
    "LSTMCell": "num_units, use_peepholes=False, cell_clip=None, initializer=None, num_proj=None, proj_clip=None, "
    "num_unit_shards=None, num_proj_shards=None, forget_bias=1.0, state_is_tuple=True, activation=None, reuse=None, "
    "name=None, dtype=None, **kwargs",
    "GRUCell": "num_units, activation=None, reuse=None, kernel_initializer=None, bias_initializer=None, name=None, "
    "dtype=None, **kwargs",
    "MultiRNNCell": "cells, state_is_tuple=True",
    "DropoutWrapper": "cell, input_keep_prob=1.0, output_keep_prob=1.0, state_keep_prob=1.0, "
    "variational_recurrent=False, input_size=None, dtype=None, seed=None, dropout_state_filter_visitor=None, "
    "**kwargs",
    "ResidualWrapper": "cell, residual_fn=None, **kwargs",
    "HighwayWrapper": "cell, couple_carry_transform_gates=True, carry_bias_init=1.0",
    "LayerNormBasicLSTMCell": "num_units, forget_bias=1.0, input_size=None, activation='tanh', layer_norm=True, "
    "norm_gain=1.0, norm_shift=0.0, dropout_keep_prob=1.0, dropout_prob_seed=None, reuse=None",
    "CoupledInputForgetGateLSTMCell": "num_units, use_peepholes=False, initializer=None, num_proj=None, "
    "proj_clip=None, num_unit_shards=1, num_proj_shards=1, forget_bias=1.0, state_is_tuple=True, activation='tanh', "
    "reuse=None, layer_norm=False, norm_gain=1.0, norm_shift=0.0",
    "NASCell": "num_units, num_proj=None, use_bias=False, reuse=None, **kwargs",
    "UGRNNCell": "num_units, initializer=None, forget_bias=1.0, activation='tanh', reuse=None",
    "IntersectionRNNCell": "num_units, num_in_proj=None, initializer=None, forget_bias=1.0, y_activation='relu', "
    "reuse=None",
    "IndRNNCell": "num_units, activation=None, reuse=None, name=None, dtype=None",
    "SRUCell": "num_units, activation=None, reuse=None, name=None, **kwargs",
    "MinimalRNNCell": "units, activation='tanh', kernel_initializer='glorot_uniform', bias_initializer='ones', "
    "name=None, dtype=None, **kwargs",
    "CFNCell": "units, activation='tanh', kernel_initializer='glorot_uniform', bias_initializer='ones', name=None, "
    "dtype=None, **kwargs",
    "LSTMBlockCell": "num_units, forget_bias=1.0, cell_clip=None, use_peephole=False, dtype=None, reuse=None, "
    "name='lstm_cell'",
    "GRUBlockCellV2": "num_units=None, cell_size=None, reuse=None, name='gru_cell'",
    "InputProjectionWrapper": "cell, num_proj, activation=None, input_size=None, reuse=None",
    "OutputProjectionWrapper": "cell, output_size, activation=None, reuse=None",
    "AttentionWrapper": "cell, attention_mechanism, attention_layer_size=None, alignment_history=False, "
    "cell_input_fn=None, output_attention=True, initial_cell_state=None, name=None, attention_layer=None, "
    "attention_fn=None, dtype=None",
    "BahdanauAttention": "num_units, memory, memory_sequence_length=None, normalize=False, probability_fn=None, "
    "score_mask_value=None, dtype=None, custom_key_value_fn=None, name='BahdanauAttention'",
    "LuongAttention": "num_units, memory, memory_sequence_length=None, scale=False, probability_fn=None, "
    "score_mask_value=None, dtype=None, custom_key_value_fn=None, name='LuongAttention'",
}
"""Signature of each constructor, in Python's syntax. Names of rnngraph replace defaults that are functions."""

KINDS: dict[str, Any] = {
    "activation": Activation,
    "cell": Cell,
    "cells": Sequence[Cell],
    "dropout_keep_prob": KeepProb,
    "input_keep_prob": KeepProb,
    "memory": Tensor,
    "output_keep_prob": KeepProb,
    "residual_fn": Callable[[Tensor, Tensor], Tensor] | None,
    "reuse": bool | None,
    "state_keep_prob": KeepProb,
    "y_activation": Activation,
}
"""Types that the constructor checks, by argument. Cells check all other arguments themselves."""

LAYER = ("name", "dtype")
"""Keywords of TensorFlow's layer class, which cells with ``**kwargs`` accept."""


class HasSignature(Protocol):
    """Interface of classes whose constructor the function ``constructor`` builds."""

    def adapt(self, arguments: dict[str, Any]) -> None:
        """Convert ``arguments``, {name: value} as in TensorFlow, in place to arguments of rnngraph's class."""

    def take(self, arguments: dict[str, Any]) -> None:
        """Store ``arguments``, which are those that the constructor of rnngraph's class lacks."""


def constructor(cls: type[Any], keywords: Sequence[str] = ()) -> Callable[..., None]:
    """Return an ``__init__`` with TensorFlow's signature.

    The constructor of rnngraph's class receives the arguments that it accepts, and ``take`` the other arguments.

    Args:
        cls: Subclass of one of rnngraph's classes, whose name is in the table.
        keywords: Names that the signature has in place of ``**kwargs``.
    """
    signature = _signature(SIGNATURES[cls.__name__], keywords)
    own: Any = next(base for base in cls.__mro__ if ".declare." in base.__module__ and "__init__" in vars(base))
    names = inspect.signature(own.__init__).parameters.keys() - {"self"}

    def __init__(self: HasSignature, *arguments: Any, **keywords: Any) -> None:
        bound = signature.bind(self, *arguments, **keywords)
        bound.apply_defaults()
        values = {name: value for name, value in bound.arguments.items() if name != "self"}
        self.adapt(values)
        own.__init__(self, **{name: values.pop(name) for name in names & values.keys()})
        self.take(values)

    result: Any = __init__
    result.__signature__, result.__doc__ = signature, cls.__doc__
    result.__qualname__ = f"{cls.__qualname__}.__init__"
    result.__annotations__ = {name: KINDS[name] for name in signature.parameters if name in KINDS}
    return __init__


def _signature(text: str, keywords: Sequence[str]) -> inspect.Signature:
    """Parse a signature such as ``"num_units, reuse=None, **kwargs"``, with keywords in place of ``**kwargs``."""
    by_place, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("self", by_place)]
    for item in text.split(", "):
        name, is_default, default = item.partition("=")
        if name == "**kwargs":
            present = {parameter.name for parameter in parameters}
            more = [keyword for keyword in keywords if keyword not in present]
            parameters += [inspect.Parameter(keyword, by_name, default=None) for keyword in more]
        else:
            value = ast.literal_eval(default) if is_default else inspect.Parameter.empty
            parameters.append(inspect.Parameter(name, by_place, default=value, annotation=KINDS.get(name, Any)))
    return inspect.Signature(parameters)
