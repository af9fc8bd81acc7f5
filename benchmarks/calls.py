"""Measure how much longer calls from Python take than the native calls that they make, on very small programs."""

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
    """Yield (name, a public call, the native call that it makes, through ctypes)."""
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
        for what, call in _call_forms(stream.step, step).items():
            yield f"step: {name}{what}", call, native
        native = _native(program.inference.compiled, program, fed)
        for what, call in _call_forms(program.inference, fed).items():
            yield f"inference: {name}{what}", call, native
    yield from _with_a_knob(step)
    program = rg.compile({"outputs": outputs}, loss=loss)
    training = program.training
    yield "training: outputs and loss", lambda: training(x=fed), _native(training.compiled, program, fed)
    yield "gradients", lambda: training.gradients(x=fed), _native(training.full_graph(), program, fed)
    yield from _trainer_steps(program, outputs, fed)
    yield from _runs_of_sessions(fed)


def _call_forms(call: Callable[..., Any], fed: np.ndarray) -> dict[str, Call]:
    """Return calls by name: with the feed as keyword or in a mapping, and with new results or the caller's arrays."""
    out, mapping = call(x=fed), {"x": fed}
    call(x=fed, out=out)
    return {
        "": lambda: call(x=fed),
        ", mapping": lambda: call(mapping),
        ", out=": lambda: call(x=fed, out=out),
        ", mapping, out=": lambda: call(mapping, out=out),
    }


def _with_a_knob(step: np.ndarray) -> Iterator[tuple[str, Call, Call]]:
    """Yield stream steps with a feed without a time axis: with a constant value, and with a new value at each step."""
    x, knob = rg.placeholder("x", (None, None, UNITS)), rg.placeholder("knob", ())
    program = rg.compile(rg.dynamic_rnn(rg.BasicLSTMCell(UNITS), x * knob)[0])
    stream = program.inference.stream(1)
    native = _native(stream._compiled, program, step[:, None], True)
    stream.step(x=step, knob=0.5)
    yield "step: a knob, held", lambda: stream.step(x=step), native
    yield "step: a knob, given", lambda: stream.step(x=step, knob=0.5), native


def _trainer_steps(program: rg.Program, outputs: rg.Tensor, fed: np.ndarray) -> Iterator[tuple[str, Call, Call]]:
    """Yield calls of a trainer's step. The native call repeats the trainer's last native call, including the update."""
    kinds: dict[str, dict[str, Any]] = {
        "": {},
        ", seed=": {"seed": 3},
        ", fetch=": {"fetch": {"outputs": outputs}},
        ", carry=True": {"carry": True},
    }
    for name, options in kinds.items():
        trainer = rg.Trainer(program)
        if "carry" in options:
            trainer.step(x=fed, carry=True)
            trainer._stepper._variants.clear()  # variants of a step without carried state
        call = partial(trainer.step, x=fed, **options)
        for _ in range(4):
            call()
        yield f"Trainer.step{name}", call, _last_step(trainer)


def _last_step(trainer: rg.Trainer) -> Call:
    """Return the native call of a trainer's last step."""
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
    """Yield calls of ``session.run`` for TensorFlow 1.x: training steps, fetched and fed states, and inference."""
    x = tf.placeholder(tf.float32, [None, None, UNITS])
    cell = tf.nn.rnn_cell.BasicLSTMCell(UNITS)
    begin = cell.zero_state(1, tf.float32)
    outputs, state = tf.nn.dynamic_rnn(cell, x, initial_state=begin)
    loss = tf.reduce_mean(tf.square(outputs))
    count = tf.train.get_or_create_global_step()
    session, (c, h) = tf.Session(), (np.ones((1, UNITS), np.float32),) * 2
    runs: dict[str, tuple[Callable[[Any], Any], dict[Any, Any]]] = {
        "a step, loss and state": (lambda train: [train, loss, state], {x: fed}),
        "a step, loss and state, state fed": (lambda train: [train, loss, state], {x: fed, begin: (c, h)}),
        "a dict, c and h fed": (
            lambda train: {"loss": loss, "state": state, "train": train},
            {x: fed, begin.c: c, begin.h: h},
        ),
        "a step alone": (lambda train: train, {x: fed}),
    }
    for name, (fetched, feed) in runs.items():
        train = tf.train.AdamOptimizer(0.01).minimize(loss, count)
        session.run(tf.global_variables_initializer())
        run = partial(session.run, fetched(train), feed)
        for _ in range(4):
            run()
        (program,) = train._programs.values()
        yield f"tf1: session.run of {name}", run, _last_step(program.trainer)
    run = partial(session.run, [outputs, state], {x: fed, begin: (c, h)})
    run()
    program = [*session._runs.values()][-1].calls[0].fetches.program().program
    yield "tf1: session.run of outputs and state, state fed", run, _native(program.training.compiled, program, fed)


def native_step(row: Row) -> Call:
    """Return the native call of one step of a workload's stream."""
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
    outputs = {item.name: np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, sized.shapes, strict=True)}
    block, arena, weights = entry.block(), aligned_bytes(sized.arena_bytes), entry.weights(program.parameters)
    block.set_sizes(sized.sizes, sized.run)
    block.set_weights(weights)
    block.set_arena(arena)
    for name, array in inputs.items():
        block.set_input(name, array)
    for name, array in outputs.items():
        block.set_output(entry.output_slots[name], array)
    resources = inputs, outputs, arena, weights, entry, compiled, program

    # the default value keeps the code and the arrays of the block's pointers alive
    def call(resources: object = resources) -> None:
        block.run()

    return call
