"""What Python adds to native calls: small programs whose native code takes well below a microsecond."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import ours
from workloads import Call, Row

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.runtime.native.aligned_memory import aligned_bytes

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
        native = _native(stream._compiled, program, fed, True)
        for what, call in _ways(stream.step, step).items():
            yield f"step: {name}{what}", call, native
        native = _native(program.inference.compiled, program, fed)
        for what, call in _ways(program.inference, fed).items():
            yield f"inference: {name}{what}", call, native
    yield from _with_a_knob(step)
    program = rg.compile({"outputs": outputs}, loss=loss)
    training = program.training
    yield "training: outputs and loss", lambda: training(x=fed), _native(training.compiled, program, fed)
    yield "gradients", lambda: training.gradients(x=fed), _native(training.full_graph(), program, fed)
    yield from _trainer_steps(rg.Trainer(program), fed)
    yield from _runs_of_sessions(fed)


def _ways(call: Callable[..., Any], fed: np.ndarray) -> dict[str, Call]:
    """A call whose feed comes by keyword or in a mapping, and whose results are fresh or the caller's."""
    out, mapping = call(x=fed), {"x": fed}
    call(x=fed, out=out)
    return {
        "": lambda: call(x=fed),
        ", mapping": lambda: call(mapping),
        ", out=": lambda: call(x=fed, out=out),
        ", mapping, out=": lambda: call(mapping, out=out),
    }


def _with_a_knob(step: np.ndarray) -> Iterator[tuple[str, Call, Call]]:
    """A feed without a time axis: held, and given anew at each step."""
    x, knob = rg.placeholder("x", (None, None, UNITS)), rg.placeholder("knob", ())
    program = rg.compile(rg.dynamic_rnn(rg.BasicLSTMCell(UNITS), x * knob)[0])
    stream = program.inference.stream(1)
    native = _native(stream._compiled, program, step[:, None], True)
    stream.step(x=step, knob=0.5)
    yield "step: a knob, held", lambda: stream.step(x=step), native
    yield "step: a knob, given", lambda: stream.step(x=step, knob=0.5), native


def _trainer_steps(trainer: rg.Trainer, fed: np.ndarray) -> Iterator[tuple[str, Call, Call]]:
    """The native call is the one that the trainer made last, over again: packing and Adam's update are in it."""
    for _ in range(4):
        trainer.step(x=fed)
    yield "Trainer.step", lambda: trainer.step(x=fed), _last_step(trainer)


def _last_step(trainer: rg.Trainer) -> Call:
    """The native call of a trainer's steps, which were all of one kind."""
    (variant,) = trainer._stepper._variants.values()
    (memory,) = variant.native._memory.values()
    ((entry, _),) = variant._known._known.values()
    block, _ = [*memory._blocks.values()][-1]
    pack = entry().pack

    def native() -> None:
        pack(block)
        block.run()

    return native


def _runs_of_sessions(fed: np.ndarray) -> Iterator[tuple[str, Call, Call]]:
    """A program of TensorFlow 1.x that trains, fetches its loss and state, and feeds the state of before."""
    x = tf.placeholder(tf.float32, [None, None, UNITS])
    cell = tf.nn.rnn_cell.BasicLSTMCell(UNITS)
    begin = cell.zero_state(1, tf.float32)
    outputs, state = tf.nn.dynamic_rnn(cell, x, initial_state=begin)
    loss = tf.reduce_mean(tf.square(outputs))
    session = tf.Session()
    for name, feed in (("", {x: fed}), (", state fed", {x: fed, begin: (np.ones((1, UNITS), np.float32),) * 2})):
        train = tf.train.AdamOptimizer(0.01).minimize(loss)
        session.run(tf.global_variables_initializer())
        fetched = [train, loss, state]
        for _ in range(4):
            session.run(fetched, feed)
        (program,) = train._programs.values()
        run = partial(session.run, fetched, feed)
        yield f"tf1: session.run of a step, loss and state{name}", run, _last_step(program.trainer)


def native_step(row: Row) -> Call:
    """The native call of one step of a stream."""
    program, feeds = ours.loaded(row, with_loss=False)
    return _native(program.inference.stream(row.batch)._compiled, program, feeds["x"], True)


def _native(compiled: Any, program: rg.Program, fed: np.ndarray, one_step: bool = False) -> Call:
    names = tuple(name for name, _ in compiled.graph.outputs)
    sizes = dict.fromkeys(compiled.graph.symbols, 1)
    entry = compiled.entry(names, sizes, one_step)
    sized = entry.sized(sizes)
    kinds = compiled.input_types()
    inputs = {
        name: fed
        if name == "x"
        else np.zeros([1 if not isinstance(n, int) else n for n in kinds[name].shape], kinds[name].dtype)
        for name in entry.input_slots
    }
    made = {item.name: np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, sized.shapes, strict=True)}
    block, arena, weights = entry.block(), aligned_bytes(sized.arena_bytes), entry.weights(program.parameters)
    block.set_sizes(sized.sizes, sized.run)
    block.set_weights(weights)
    block.set_arena(arena)
    for name, array in inputs.items():
        block.set_input(name, array)
    for name, array in made.items():
        block.set_output(entry.output_slots[name], array)
    held = inputs, made, arena, weights, entry, compiled, program

    def call(held: object = held) -> None:  # it holds what the block names, and the code
        block.run()

    return call
