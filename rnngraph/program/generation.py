"""Generation of tokens: after a prompt, each chosen token is the input of the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..declare.nest import flatten, paths
from ..declare.placeholders import placeholder
from ..declare.seq2seq.sampling import sample
from ..ir.types import INTEGERS, TensorType
from ..runtime.calls.feed_names import FeedNames
from ..runtime.graph_source import DeclaredSource
from ..runtime.native.compile_options import CompileOptions
from ..runtime.native.weight_options import FLOAT32
from ..runtime.parameters import Parameters
from ..runtime.streams.step_graph import StepGraph, step_graph
from ..runtime.streams.stream import Stream
from ..support.errors import ArgumentError, DtypeError, NonFiniteError, ShapeError, Where, did_you_mean, shown
from ..support.records import dataclass

CHUNK = 128
"""Steps of a prompt that run at once. It bounds the memory for their results, and the time until an interrupt."""
SAMPLING = ("temperature", "top_k", "top_p", "seed")
"""Arguments of ``rg.sample`` that ``sample=`` may have."""
STOPPED = -1
"""Token of a row that has stopped."""

Choice = Callable[[np.ndarray], Any]
"""Returns a token for each row of logits."""


@dataclass(frozen=True)
class TokenPorts:
    """Input and output of a step graph for tokens.

    Attributes:
        input: Name of the input.
        output: Path of the output.
        classes: Size of the output's last axis, which has the logits of a step; None if the output is a token itself.
    """

    input: str
    output: str
    classes: int | None


def token_ports(graph: StepGraph, input_name: str | None, output: str | None, where: Where | None) -> TokenPorts:
    """Return the input and the output for tokens.

    Args:
        input_name: Name of the input; None: the only one that takes an integer a step.
        output: Path of the output; None: the only one that gives logits or a token a step.

    Raises:
        ArgumentError: There is no such input or output, or several. The error lists the candidates.
    """
    fed = {name: graph.types[name] for name in graph.per_step_feeds}
    inputs = {name: kind for name, kind in fed.items() if _is_token(kind, graph.axes.feeds[name])}
    outputs = {
        name: node.tensor
        for name, node in graph.compiled.graph.outputs
        if name in graph.outputs and _gives_token(node.tensor, graph.axes.outputs.get(name))
    }
    chosen = _chosen(input_name, inputs, "input", "input that takes an integer for each row and step", where)
    given = _chosen(output, outputs, "output", "output that gives logits or an integer for each row and step", where)
    kind = outputs[given]
    return TokenPorts(chosen, given, None if kind.dtype in INTEGERS else int(str(kind.shape[-1])))


def _is_token(kind: TensorType, time_axis: int | None) -> bool:
    return kind.dtype in INTEGERS and kind.rank == 2 and time_axis == 1


def _gives_token(kind: TensorType, time_axis: int | None) -> bool:
    if time_axis != 1:
        return False
    return (kind.dtype in INTEGERS and kind.rank == 2) or (
        kind.dtype == "float32" and kind.rank == 3 and isinstance(kind.shape[-1], int)
    )


def _chosen(name: str | None, candidates: Mapping[str, TensorType], option: str, what: str, where: Where | None) -> str:
    listed = ", ".join(f"{key or 'the only output'} {kind}" for key, kind in candidates.items()) or "none"
    if name is None:
        if len(candidates) == 1:
            return next(iter(candidates))
        problem = f"the net has no {what}" if not candidates else f"the net has several, {listed}"
        raise ArgumentError(f"generate needs one {what}, and {problem}; choose by {option}=, or declare one", where)
    if name not in candidates:
        hint = did_you_mean(name, candidates) or f"; there are: {listed}"
        raise ArgumentError(f"{option}={shown(name)} is no {what}{hint}", where)
    return name


def prompt_of(ids: Any, where: Where | None) -> np.ndarray:
    """Return a prompt as int64 [rows, steps].

    Raises:
        DtypeError: The tokens are not integers.
        ShapeError: There is no token, or there are more than two axes.
    """
    try:
        array = np.asarray(ids)
    except ValueError:
        raise ShapeError("generate takes prompts of one length; run prompts of several lengths apart", where) from None
    if array.size and array.dtype.kind not in "iu":
        raise DtypeError(f"generate takes integers as tokens, not {array.dtype}; encode the text first", where)
    if array.ndim not in (1, 2) or not array.size:
        raise ShapeError(
            f"generate takes the tokens of a prompt, or [rows, tokens], and this has shape {array.shape}; give at "
            "least one token",
            where,
        )
    return np.atleast_2d(array).astype(np.int64)


def stops_at(stop: Any, where: Where | None) -> Callable[[int], bool]:
    """Return a predicate of tokens that end their row.

    Args:
        stop: A token, several, a function of a token, or None.
    """
    if stop is None:
        return lambda token: False
    if callable(stop):
        return lambda token: bool(stop(token))
    tokens = [*stop] if isinstance(stop, Iterable) else [stop]
    if not all(isinstance(token, int | np.integer) for token in tokens):
        raise DtypeError(f"stop={shown(stop)} must be a token, several, or a function of a token", where)
    ends = {int(token) for token in tokens}
    return ends.__contains__


def choice_of(
    sampling: Any, ports: TokenPorts, rows: int, is_single: bool, options: CompileOptions, where: Where | None
) -> Choice:
    """Return the function that chooses a token from logits.

    Args:
        sampling: None for the largest logit, a mapping of arguments of ``rg.sample``, or a function of logits.
        rows: Number of rows.
        is_single: A function gets the logits of the only row, without the axis of rows.
        options: Options for compiling ``rg.sample``.
        where: Line of the call.
    """
    if sampling is not None and ports.classes is None:
        output = ports.output or "the output"
        raise ArgumentError(f"{output} is a token that the net draws itself, so that sample= has no use; leave it out")
    if sampling is None:
        return lambda logits: logits.argmax(-1)
    if callable(sampling):
        return (lambda logits: [sampling(logits[0])]) if is_single else sampling
    if not isinstance(sampling, Mapping) or not sampling.keys() <= {*SAMPLING}:
        raise ArgumentError(
            f"sample={shown(sampling)} must be None, a function of logits, or a dict of {', '.join(SAMPLING)}", where
        )
    logits = placeholder("logits", (None, None, ports.classes))
    source = DeclaredSource(sample(logits, **sampling), None, {})
    options = replace(options, weights=FLOAT32, activations="float32", sparse=False, parameters=())
    drawing: Stream[np.ndarray] = Stream(
        step_graph(source, options, rows, where),
        Parameters(source.lowered.slots, 0),
        FeedNames(source.lowered),
        _unsaved,
        _unsaved,
    )
    return lambda logits: drawing.step({"logits": logits})


def _unsaved(*_: Any) -> Any:
    raise AssertionError("the stream of a choice is not pickled")


def tokens_of(
    stream: Stream[Any],
    ports: TokenPorts,
    prompt: np.ndarray,
    max_new: int | None,
    choice: Choice,
    ends: Callable[[int], bool],
    where: Where | None,
) -> Iterator[np.ndarray]:
    """Yield the tokens of all rows, step by step; ``STOPPED`` for rows that have ended."""
    result: Any = None
    for first in range(0, prompt.shape[1], CHUNK):
        result = stream.process({ports.input: prompt[:, first : first + CHUNK]})
    place = [path for path, _ in paths(result)].index(ports.output)
    last = flatten(result)[place][:, -1]
    running = np.ones(len(prompt), bool)
    count = 0
    while max_new is None or count < max_new:
        tokens = np.asarray(choice(_finite(last, ports, where)) if ports.classes else last)
        running &= [not ends(int(token)) for token in tokens]
        if not running.any():
            return
        yield np.where(running, tokens, STOPPED)
        count += 1
        if count != max_new:
            last = flatten(stream.step({ports.input: tokens}))[place]


def _finite(logits: np.ndarray, ports: TokenPorts, where: Where | None) -> np.ndarray:
    if np.isnan(logits).any():
        output = ports.output or "the output"
        raise NonFiniteError(
            f"{output} has NaN among its logits; program.inference.check says where the NaN began", where
        )
    return logits
