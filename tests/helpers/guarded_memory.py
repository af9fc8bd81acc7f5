"""Memory between two protected pages, and programs whose arrays all lie in such memory.

Run as a script, in a process of its own, because one access out of bounds is a crash. Arguments: ``end`` or ``start``,
the side of an array that is next to a protected page, and the names of cases. Prints ``ok NAME`` after each case.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import Sequence
from interleaved import interleave_everything
from native_calls import call_native
from own_cells import DeltaCell, NormCell, Pondering, RotateCell
from sparse_nets import zero_blocks

import rnngraph as rg
from rnngraph.declare.nest import pack, paths
from rnngraph.runtime.calls import prepared_call
from rnngraph.runtime.native import entry as native
from rnngraph.runtime.streams import prepared_step, row_steps, stream_table

LINE = 64
SIZES = (1, 3, 7, 17, 25, 63, 100)


def _libc() -> ctypes.CDLL:
    """Return the C library, whose functions protect pages. Windows has none."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    sizes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.mmap.argtypes = [*sizes, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.mprotect.argtypes = sizes
    return library


_LIBC = _libc() if sys.platform == "linux" else None
_PRIVATE_ANONYMOUS = 0x22


class Guard:
    """Allocator of arrays whose last byte (``end``) or first byte (``start``) lies next to a protected page.

    Memory is never freed, because the process is short.
    """

    def __init__(self, side: str) -> None:
        self.at_end = side == "end"

    def address(self, count: int, alignment: int) -> int:
        page = mmap.PAGESIZE
        inner = -(-max(count, 1) // page) * page
        base = _LIBC.mmap(None, inner + 2 * page, mmap.PROT_READ | mmap.PROT_WRITE, _PRIVATE_ANONYMOUS, -1, 0)
        assert base not in (None, ctypes.c_void_p(-1).value)
        for protected in (base, base + page + inner):
            assert _LIBC.mprotect(protected, page, 0) == 0
        return base + page + (inner - -(-count // alignment) * alignment if self.at_end else 0)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        kind = np.dtype(dtype)
        count = int(np.prod(shape)) * kind.itemsize
        return view(self.address(count, kind.itemsize), shape, kind)

    def copy(self, array: Any) -> np.ndarray:
        array = np.asarray(array)
        guarded = self.empty(array.shape, array.dtype)
        guarded[...] = array
        return guarded

    def lines(self, count: int, purpose: str = "") -> np.ndarray:
        """Return scratch memory or packed weights, aligned to a cache line."""
        memory = view(self.address(count, LINE), (count,), np.dtype(np.uint8))
        memory[...] = 0xFF
        return memory

    def bytes(self, count: int) -> np.ndarray:
        """Return the caller's memory of an exported net, without alignment."""
        memory = view(self.address(count, 8), (count,), np.dtype(np.uint8))
        memory[...] = 0xFF
        return memory

    def take_over(self) -> None:
        """Replace the runtime's allocations: every call gets its own guarded scratch memory and results."""
        native.aligned_bytes = prepared_step.aligned_bytes = self.lines  # type: ignore[assignment]
        native.NativeEntry.take = lambda entry, count: self.lines(count)  # type: ignore[method-assign]
        row_steps.aligned_bytes = self.lines  # type: ignore[assignment]
        row_steps.empty = lambda shape, dtype, purpose: self.empty(shape, dtype)  # type: ignore[assignment]
        stream_table.zeros = lambda shape, dtype, purpose: self.copy(np.zeros(shape, dtype))  # type: ignore[assignment]
        prepared_call.empty = lambda shape, dtype, purpose: self.empty(shape, dtype)  # type: ignore[assignment]
        prepared_call.maker = lambda shape, dtype, purpose: lambda: self.empty(shape, dtype)  # type: ignore[assignment]


def view(address: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray:
    count = int(np.prod(shape)) * kind.itemsize
    raw = (ctypes.c_char * max(count, 1)).from_address(address)
    return np.frombuffer(raw, kind, int(np.prod(shape))).reshape(shape)


def guarded_program(guard: Guard, outputs: Any, loss: Any = None, **options: Any) -> rg.Program:
    program = rg.compile(outputs, loss=loss, **options)
    if options.get("sparse"):
        zero_blocks(program, 0.4, (4, 8))
    program.parameters.replace({name: guard.copy(array) for name, array in program.parameters.items()})
    return program


def run_all(guard: Guard, program: rg.Program, feeds: dict[str, np.ndarray], streams: bool) -> None:
    """Run every entry of a program, on guarded feeds and guarded results."""
    feeds = {name: guard.copy(array) for name, array in feeds.items()}
    known = {str(node["label"]) for node in program.inference.graph.inputs}
    inputs = {name: array for name, array in feeds.items() if name in known}
    expected = program.inference(inputs)
    leaves = [guard.empty(leaf.shape, leaf.dtype) for _, leaf in paths(dict(expected))]
    actual = program.inference(inputs, out=pack(dict(expected), leaves))
    for (name, a), (_, b) in zip(paths(dict(actual)), paths(dict(expected)), strict=True):
        np.testing.assert_array_equal(a, b, name)
    program.training(feeds, seed=1)
    program.training.dropout_masks(feeds, seed=1)
    if program.loss is not None:
        program.evaluate(feeds)
        program.training.gradients(feeds, seed=1)
    if streams:
        stream, x = program.inference.stream(batch=feeds["x"].shape[0]), feeds["x"]
        for _ in range(3):
            stream.step(x=guard.copy(x[:, 0] if stream.rate == 1 else x[:, : stream.rate]))
        one = x[:, 0] if stream.rate == 1 else x[:, : stream.rate]
        stream.step(x=guard.copy(one), rows=[len(one) - 1])
        pool = program.inference.streams(2)
        handles = [pool.open() for _ in range(7)]
        for count in (1, 7):
            pool.step_rows(handles[-count:], x=guard.copy(np.resize(one, (count, *one.shape[1:]))))
        whole = x.shape[1] - x.shape[1] % stream.rate
        stream.process(x=guard.copy(x[:, :whole]))
        if stream.delay:
            stream.flush(x=guard.copy(x[:, whole:]))


def recurrent(guard: Guard, size: int, dtype: str = "float32", **options: Any) -> None:
    """Run cells, projections, dropout and a loss, all of one odd size."""
    x = rg.placeholder("x", (None, None, size), dtype)
    y = rg.placeholder("y", (None,), "int64")
    lstm = rg.LSTMCell(size, use_peepholes=True, num_proj=max(1, size - 2))
    cells = [rg.DropoutWrapper(rg.BasicRNNCell(size), input_keep_prob=0.8, state_keep_prob=0.9), lstm, rg.GRUCell(size)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    logits = rg.dense(outputs[:, -1], size)
    loss = rg.sparse_softmax_cross_entropy(y, logits)
    program = guarded_program(guard, {"outputs": outputs, "states": states, "logits": logits}, loss, **options)
    for batch, time in ((1, 2), (3, 5)):
        run_all(guard, program, {"x": _normal((batch, time, size), dtype), "y": np.zeros(batch, np.int64)}, True)


def two_directions(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run lengths, a mask, backward time, inner steps, concatenations, slices and reductions of one odd size."""
    x = rg.placeholder("x", (None, None, size), dtype)
    n, m = rg.placeholder("n", (None,), "int32"), rg.placeholder("m", (None, None), "bool")
    cells = NormCell(size), Pondering(RotateCell(size), 2)
    (fw, bw), states = rg.bidirectional_dynamic_rnn(*cells, x, sequence_length=n, mask=m)
    both = rg.concat([fw, bw], -1)
    outputs = {
        "both": both,
        "states": states,
        "turned": rg.transpose(both, (2, 0, 1)),
        "late": both[:, 1:, size // 2 :],
        "sum": rg.reduce_sum(both, 1),
        "largest": rg.reduce_max(both, -1),
        "shares": rg.softmax(fw, 1),
        "flat": rg.reshape(bw, (-1, size)),
        "flipped": both[:, ::-1, ::2],
        "best": rg.argmax(fw),
    }
    program = guarded_program(guard, outputs)
    for batch, time in ((2, 1), (3, 4)):
        feeds = {"x": _normal((batch, time, size), dtype), "n": np.arange(batch) % (time + 1)}
        run_all(guard, program, feeds | {"m": feeds["x"][:, :, 0] > 0}, False)


def variants(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run the further cells, in one stack."""
    x, y = rg.placeholder("x", (None, None, size), dtype), rg.placeholder("y", (None, size), dtype)
    cells = [
        rg.LayerNormBasicLSTMCell(size, dropout_keep_prob=0.8),
        rg.UGRNNCell(size),
        rg.IntersectionRNNCell(size),
        rg.NASCell(size, num_proj=max(1, size - 2)),
        rg.IndRNNCell(size),
        rg.SRUCell(size),
        rg.MinimalRNNCell(size),
        rg.CFNCell(size),
        rg.CoupledInputForgetGateLSTMCell(size, use_peepholes=True),
    ]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    loss = rg.mean_squared_error(y, outputs[:, -1])
    program = guarded_program(guard, {"outputs": outputs, "states": states}, loss)
    for batch, time in ((1, 2), (3, 5)):
        feeds = {"x": _normal((batch, time, size), dtype), "y": _normal((batch, size), dtype)}
        run_all(guard, program, feeds, True)


def memories(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run attention over a memory with lengths, and a matrix state."""
    x, memory = rg.placeholder("x", (None, None, size), dtype), rg.placeholder("memory", (None, None, size), dtype)
    n, y = rg.placeholder("n", (None,), "int64"), rg.placeholder("y", (None, size), dtype)
    first = rg.AttentionWrapper(DeltaCell(size), rg.BahdanauAttention(size, memory, n, normalize=True))
    cell = rg.MultiRNNCell([first, rg.AttentionWrapper(rg.GRUCell(size), rg.LuongAttention(size, memory, n))])
    outputs, states = rg.dynamic_rnn(cell, x)
    loss = rg.mean_squared_error(y, outputs[:, -1])
    program = guarded_program(guard, {"outputs": outputs, "states": states}, loss)
    for batch, time in ((1, 2), (3, 5)):
        feeds = {"x": _normal((batch, time, size), dtype), "y": _normal((batch, size), dtype)}
        feeds |= {"memory": _normal((batch, time + 1, size), dtype), "n": np.arange(batch) % (time + 2)}
        run_all(guard, program, feeds, False)


def tables(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run lookups in a table, including the first row and the last."""
    ids = rg.placeholder("x", (None, None), "int64")
    table = rg.parameter("table", (size, size), dtype=dtype)
    picked = rg.gather(table, ids)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(size, reset_after=True), picked)
    program = guarded_program(guard, {"outputs": outputs, "picked": picked, "hot": rg.one_hot(ids, size)})
    run_all(guard, program, {"x": np.array([[0, size - 1], [size // 2, 0]])}, False)


def flattened(guard: Guard, size: int) -> None:
    """Run a loss of flattened logits and labels. The labels' shapes vary, but not their number of elements."""
    x, y = rg.placeholder("x", (None, None, size)), rg.placeholder("y", (None, None), "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(size), x)
    logits = rg.reshape(rg.dense(outputs, size), [-1, size])
    loss = rg.sparse_softmax_cross_entropy(rg.reshape(y, [-1]), logits)
    program = guarded_program(guard, {"logits": logits}, loss)
    for shape in ((3, 5), (15, 1), (1, 15), (5, 3)):
        run_all(guard, program, {"x": _normal((3, 5, size), "float32"), "y": np.zeros(shape, np.int64)}, False)


def edges(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run reads of rows that end where an array ends: by products, transposed, permuted, and converted to int32."""
    x, ids = rg.placeholder("x", (None, size), dtype), rg.placeholder("ids", (size,), "int64")
    square, table = rg.parameter("square", (size, size), dtype=dtype), rg.parameter("table", (size, 5), dtype=dtype)
    residual = rg.tanh(x @ square + x) @ square
    turned = rg.gather(rg.transpose(rg.tanh(x @ table)), ids - ids) @ rg.transpose(rg.gather(table, ids))
    loss = rg.reduce_sum(residual[:, ::-1]) + rg.reduce_sum(rg.gather(rg.transpose(table) @ table, ids - ids))
    outputs = {"residual": residual, "short": rg.cast(ids, "int32"), "turned": rg.reduce_sum(turned, 0)}
    program = guarded_program(guard, outputs, loss)
    run_all(guard, program, {"x": _normal((5, size), dtype), "ids": np.arange(size)}, False)


def matrices(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run batched matrix products of rows that end where an array ends, plain and transposed for tiles."""
    a, b = rg.placeholder("a", (None, 5, size), dtype), rg.placeholder("b", (None, 9, size), dtype)
    turned = rg.transpose(b, (0, 2, 1))
    score = a @ turned
    own = rg.tanh(rg.parameter("own", (3, size, 7), dtype=dtype))
    c = rg.placeholder("c", (None, "steps", size), dtype)
    seen = rg.softmax(c @ rg.transpose(c, (0, 2, 1)))
    outputs = {
        "score": score,
        "read": rg.tanh(score) @ b,
        "row": a[:, :1] @ turned,
        "own": b @ own,
        "steps": seen @ c,
        "least": rg.reduce_min(seen, -1),
        "beside": b[:, :, :1] @ rg.transpose(c[..., :1], (0, 2, 1)),
    }
    loss = sum((rg.reduce_sum(value) for value in outputs.values()), rg.reduce_sum(rg.transpose(a, (0, 2, 1)) @ a))
    program = guarded_program(guard, outputs, loss)
    for steps in (1, 5, 33):
        shapes = {"a": (3, 5, size), "b": (3, 9, size), "c": (3, steps, size)}
        run_all(guard, program, {name: _normal(shape, dtype) for name, shape in shapes.items()}, False)


def convolved(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run convolutions over the edges of feeds, with and without strides, and pools of their results."""
    x = rg.placeholder("x", (None, None, size), dtype)
    front = rg.conv1d(x, size, 3, "same", strides=2) + rg.conv1d(x, size, 2, dilation=2, groups=size, strides=2)
    outputs = {
        "front": front,
        "last": rg.conv1d(x[:, ::-2], 5, 2, "valid"),
        "largest": rg.max_pool1d(x, 3, 2, "same"),
        "means": rg.average_pool1d(front, 2, padding="same"),
        "edges": rg.pad(x, ((0, 0), (1, 2), (1, 0)), "edge"),
    }
    program = guarded_program(guard, outputs, rg.reduce_sum(rg.square(outputs["means"])) + rg.reduce_sum(front))
    for batch, time in ((2, 3), (1, 8), (3, 5)):
        run_all(guard, program, {"x": _normal((batch, time, size), dtype)}, False)


def late(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run streams that store past inputs, read several entries for each step, and have a delay."""
    x = rg.placeholder("x", (None, None, size), dtype)
    front = rg.conv1d(x, size, 4, (1, 2), strides=2) + rg.dense(x[:, ::2], size, name="beside")
    outputs = {
        "loop": rg.dynamic_rnn(rg.GRUCell(size), front)[0],
        "all": rg.conv1d(x, 3, 3, (1, 1), groups=1) * x[:, :, :1],
        "largest": rg.max_pool1d(front, 2, 3),
        "last": rg.conv1d(x, 2, 3, (2, 1))[:, -1],
    }
    program = guarded_program(guard, outputs)
    for batch, time in ((2, 12), (1, 20), (3, 13)):
        run_all(guard, program, {"x": _normal((batch, time, size), dtype)}, True)


def sequences(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run a net exported for whole sequences with unchecked lengths and ids of any value."""
    x, ids = rg.placeholder("x", (None, None, size), dtype), rg.placeholder("ids", (None, None), "int64")
    n, z = rg.placeholder("n", (None,), "int32"), rg.placeholder("z", (None, "more", size), dtype)
    joined = rg.concat([x, rg.gather(rg.parameter("table", (size, 3), dtype=dtype), ids)], 2)
    both, states = rg.bidirectional_dynamic_rnn(rg.LSTMCell(size), rg.GRUCell(size), joined, sequence_length=n)
    memory = rg.conv1d(rg.concat(both, 2), size, 3, padding="same")
    attention = rg.BahdanauAttention(size, memory, memory_sequence_length=n)
    outputs, _ = rg.dynamic_rnn(rg.AttentionWrapper(rg.GRUCell(size), attention), z)
    program = rg.compile({"y": outputs, "states": states, "last": rg.gather_last(memory, n)}, cache=False)
    hostile = [0, 1, 7, -1, -(2**31), 2**31 - 1, 5]
    for weights in ("embedded", "external"):
        with tempfile.TemporaryDirectory() as folder:
            program.inference.export(folder, "net", form="sequence", weights=weights, link=False)
            image = (Path(folder) / "net.safetensors").read_bytes() if weights == "external" else None
            net = Sequence(Path(folder), "net", program.target, image, room=guard.bytes)
        for batch, time, more in ((1, 1, 2), (3, 7, 1), (7, 5, 3), (2, 0, 2), (0, 3, 1)):
            feeds = {"x": _normal((batch, time, size), dtype), "z": _normal((batch, more, size), dtype)}
            feeds["ids"] = np.resize(np.array([*hostile, 2**62, -(2**62)]), (batch, time))
            feeds["n"] = np.resize(np.array(hostile, np.int32), batch)
            actual = net.run({name: guard.copy(array) for name, array in feeds.items()})
            feeds["ids"], feeds["n"] = np.clip(feeds["ids"], 0, size - 1), np.clip(feeds["n"], 0, time)
            if batch:
                for name, array in paths(dict(program.inference(feeds))):
                    if name != "last":  # with invalid lengths the last step is undefined
                        np.testing.assert_array_equal(actual[name], array, name)


def again(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run recomputation of steps for derivatives, block by block, with a shorter last block."""
    x, n = rg.placeholder("x", (None, None, size), dtype), rg.placeholder("n", (None,), "int32")
    cell = rg.MultiRNNCell([rg.DropoutWrapper(rg.LSTMCell(size), output_keep_prob=0.8), rg.GRUCell(size)])
    outputs, states = rg.dynamic_rnn(cell, x, sequence_length=n)
    loss = rg.reduce_sum(rg.square(outputs)) + rg.reduce_sum(states[1])
    program = guarded_program(guard, {"outputs": outputs}, loss)
    for batch, time in ((1, 1), (3, 7)):
        feeds = {"x": guard.copy(_normal((batch, time, size), dtype)), "n": guard.copy(np.arange(batch, dtype="int32"))}
        for steps in (1, 2, 3):
            program.training.gradients(feeds, seed=1, wrt=["x"], recompute=steps)


def beside(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run interleaved layers and directions, regardless of the cost model."""
    with pytest.MonkeyPatch.context() as patch:
        plans = interleave_everything(patch)
        x, n = rg.placeholder("x", (None, None, size), dtype), rg.placeholder("n", (None,), "int32")
        stack = rg.MultiRNNCell([rg.GRUCell(size), rg.LSTMCell(size), rg.BasicRNNCell(size)])
        both, states = rg.bidirectional_dynamic_rnn(rg.GRUCell(size), rg.BasicRNNCell(size), x, sequence_length=n)
        outputs = {"stack": rg.dynamic_rnn(stack, x), "both": both, "states": states}
        program = guarded_program(guard, outputs, rg.reduce_sum(rg.square(rg.concat(both, 2))))
        for batch, time in ((1, 1), (1, 7), (3, 12)):
            feeds = {"x": _normal((batch, time, size), dtype), "n": np.arange(batch, dtype=np.int32)}
            run_all(guard, program, feeds, False)
        assert plans


def often(guard: Guard, size: int, dtype: str = "float32") -> None:
    """Run direct calls in machine code, between arrays that end at a page."""
    x, knob = rg.placeholder("x", (None, None, size), dtype), rg.placeholder("knob", ("k",), dtype)
    outputs, state = rg.dynamic_rnn(rg.LSTMCell(size), x * rg.reduce_sum(knob))
    program = guarded_program(guard, {"y": outputs, "state": state})
    for batch, time in ((1, 1), (2, 3), (1, 900)):
        fed, knobs = guard.copy(_normal((batch, time, size), dtype)), guard.copy(np.ones(3, dtype))
        strided = guard.copy(_normal((batch, time, 2 * size), dtype))[:, ::-1, ::2]
        out = {"y": guard.empty((batch, time, size), np.dtype(dtype)), "state": None}
        pair = [guard.empty((batch, size), np.dtype(dtype)) for _ in range(2)]
        out["state"] = rg.LSTMStateTuple(*pair)
        stream = program.inference.stream(batch)
        stream.step(x=guard.copy(fed[:, 0]), knob=knobs)
        step = {"y": guard.empty((batch, size), np.dtype(dtype)), "state": out["state"]}
        for _ in range(25):
            for inputs in (fed, strided):
                program.inference(x=inputs, knob=knobs, out=out)
            stream.step(x=guard.copy(fed[:, 0]), out=step)
            stream.step(x=strided[:, 0], knob=knobs)


def feed_overrun(guard: Guard, size: int) -> None:
    """Run native code that reads one step too many. The process must crash."""
    program, feeds = _simple(guard, size)
    graph = program.inference.compiled
    entry = graph.entry(("",), {"B": 2, "T": 3})
    results = [guard.empty((2, 4, size), np.float32)]
    call_native(entry, program.parameters, feeds, {"B": 2, "T": 4}, results)


def result_overrun(guard: Guard, size: int) -> None:
    """Run native code that writes one step too many. The process must crash."""
    program, feeds = _simple(guard, size)
    entry = program.inference.compiled.entry(("",), {"B": 2, "T": 3})
    feeds = {"x": _normal((2, 4, size), "float32")}
    results = [guard.empty((2, 3, size), np.float32)]
    call_native(entry, program.parameters, feeds, {"B": 2, "T": 4}, results)


def feed_underrun(guard: Guard, size: int) -> None:
    """Run native code that reads one number before its feed. The process must crash."""
    program, feeds = _simple(guard, size)
    entry = program.inference.compiled.entry(("",), {"B": 2, "T": 3})
    x = feeds["x"]
    moved = view(native.address(x) - 4, x.shape, x.dtype)
    results = [guard.empty((2, 3, size), np.float32)]
    call_native(entry, program.parameters, {"x": moved}, {"B": 2, "T": 3}, results)


def scratch_overrun(guard: Guard, size: int) -> None:
    """Run native code with a single cache line of scratch memory, less than it needs. The process must crash."""
    program, feeds = _simple(guard, size)
    native.NativeEntry.take = lambda entry, count: guard.lines(LINE)  # type: ignore[method-assign]
    program.inference(feeds)


def _simple(guard: Guard, size: int) -> tuple[rg.Program, dict[str, np.ndarray]]:
    x = rg.placeholder("x", (None, None, size))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(size), x)
    program = rg.compile(outputs)
    feeds = {"x": guard.copy(_normal((2, 3, size), "float32"))}
    program.inference(feeds)
    return program, feeds


def _normal(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


CASES: dict[str, Callable[[Guard], None]] = {}
for _size in SIZES:
    for _function in (
        recurrent,
        two_directions,
        variants,
        memories,
        tables,
        flattened,
        edges,
        matrices,
        convolved,
        late,
        sequences,
        again,
        beside,
        often,
    ):
        CASES[f"{_function.__name__}_{_size}"] = lambda guard, f=_function, n=_size: f(guard, n)  # type: ignore[misc]
for _size in (3, 25):
    for _function in (recurrent, two_directions, variants, memories):
        CASES[f"{_function.__name__}_{_size}_float64"] = lambda guard, f=_function, n=_size: f(guard, n, "float64")  # type: ignore[misc]
for _form in ("bfloat16", "int8"):  # large enough for narrow weights
    CASES[f"recurrent_{_form}"] = lambda guard, form=_form: recurrent(guard, 71, weights=form)  # type: ignore[misc]
CASES["recurrent_bytes"] = lambda guard: recurrent(guard, 71, weights="int8", activations="int8")
for _size in (8, 9, 17, 33):
    CASES[f"recurrent_sparse_{_size}"] = lambda guard, n=_size: recurrent(guard, n, sparse=True)  # type: ignore[misc]
for _form in ("bfloat16", "int8"):
    CASES[f"recurrent_sparse_{_form}"] = lambda guard, form=_form: recurrent(guard, 71, weights=form, sparse=True)  # type: ignore[misc]
CASES["recurrent_sparse_bytes"] = lambda guard: recurrent(guard, 71, weights="int8", activations="int8", sparse=True)
CRASHES: dict[str, Callable[[Guard, int], None]] = {
    function.__name__: function for function in (feed_overrun, result_overrun, feed_underrun, scratch_overrun)
}


def main(side: str, names: list[str]) -> None:
    import resource  # missing on Windows, where the script does not run

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # some cases crash on purpose
    guard = Guard(side)
    guard.take_over()
    for name in names:
        if name in CRASHES:
            CRASHES[name](guard, 7)
        else:
            CASES[name](guard)
        print("ok", name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
