"""What Python adds to native calls: small programs whose native code takes well below a microsecond."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import ours
from workloads import Call, Row

import rnngraph as rg
from rnngraph.runtime.argument_block import WORKER, WORKERS, ArgumentBlock
from rnngraph.runtime.arrays import aligned_bytes

UNITS = 8


def rows() -> Iterator[tuple[str, Call, Call]]:
    """(name, a call from Python, the native call that it makes, from Python too)."""
    x = rg.placeholder("x", (None, None, UNITS))
    outputs, state = rg.dynamic_rnn(rg.BasicLSTMCell(UNITS), x)
    loss = rg.reduce_mean(rg.square(outputs))
    forms: dict[str, Any] = {
        "one array": outputs,
        "three arrays": {"outputs": outputs, "twice": outputs * 2, "more": outputs + 1},
        "outputs and state": {"outputs": outputs, "state": state},
    }
    fed, step = np.ones((1, 1, UNITS), np.float32), np.ones((1, UNITS), np.float32)
    for name, structure in forms.items():
        program = rg.compile(structure)
        stream = program.inference.stream(1)
        stream.step(x=step)
        yield f"step: {name}", lambda s=stream: s.step(x=step), _native(stream._compiled, program, fed, True)
        yield (
            f"inference: {name}",
            lambda p=program: p.inference(x=fed),
            _native(program.inference.compiled, program, fed),
        )
    program = rg.compile({"outputs": outputs}, loss=loss)
    training = program.training
    yield "training: outputs and loss", lambda: training(x=fed), _native(training.compiled, program, fed)
    yield "gradients", lambda: training.gradients(x=fed), _native(training._described(), program, fed)


def native_step(row: Row) -> Call:
    """The native call of one step of a stream."""
    program, feeds = ours.loaded(row, with_loss=False)
    return _native(program.inference.stream(row.batch)._compiled, program, feeds["x"], True)


def _native(compiled: Any, program: rg.Program, fed: np.ndarray, one_step: bool = False) -> Call:
    names = tuple(name for name, _ in compiled.graph.outputs)
    sizes = dict.fromkeys(compiled.graph.symbols, 1)
    entry = compiled.entry(names, sizes, one_step)
    sized = entry.sized(sizes)
    kinds = compiled.kinds()
    inputs = {
        name: fed
        if name == "x"
        else np.zeros([1 if not isinstance(n, int) else n for n in kinds[name].shape], kinds[name].dtype)
        for name in entry.input_slots
    }
    made = {item.name: np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, sized.shapes, strict=True)}
    block, arena, weights = (
        ArgumentBlock(entry, sized, inputs, made),
        aligned_bytes(sized.arena_bytes),
        entry.weights(program.parameters),
    )
    block.set_weights(weights)
    entry.set_arena(block.numbers, arena)
    held = inputs, made, arena, weights, entry, compiled, program

    def call(held: object = held) -> None:  # it holds what the block names, and the code
        sized.run(block.address, WORKER, WORKERS)

    return call
