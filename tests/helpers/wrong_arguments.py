"""Calls of the whole public interface, with arguments that are wrong in many ways.

The interface is found by inspection: every public name of ``rnngraph`` and ``rnngraph.tf1``, and every public method of
their results, so that new names are called, too. Arguments are drawn by a seed. Most parameters have a good value by
their name, so that a call reaches its one wrong argument.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from systems import WINDOWS

import rnngraph as rg
from rnngraph import sklearn, tf1
from rnngraph.ir.types import evaluate
from rnngraph.support.attribute_hints import OF_NETS, OF_TENSORS
from rnngraph.support.errors import Where

SECONDS, ASLEEP = 60.0, 3600.0
"""Limits after which a call counts as endless: CPU seconds, and elapsed seconds, for calls that only wait."""
MAX_CHARACTERS = 1000
MODULES = (
    "contrib",
    "crf",
    "flags",
    "framework",
    "gfile",
    "initializers",
    "layers",
    "legacy_seq2seq",
    "linalg",
    "logging",
    "losses",
    "math",
    "nest",
    "nn",
    "random",
    "rnn",
    "rnn_cell",
    "seq2seq",
    "sparse",
    "summary",
    "train",
)
"""Modules of ``rnngraph.tf1`` with public names."""
RUDE = "whose repr raises"

Make = Callable[["World"], Any]


class Rude:
    """Object whose repr raises an error."""

    def __repr__(self) -> str:
        raise RuntimeError(RUDE)


class OwnCell(rg.Cell):
    """User-defined cell."""

    def __init__(self, width: int = 3) -> None:
        self.width = width

    def state(self) -> Any:
        return {"h": self.width}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        h = rg.tanh(x @ p.kernel("w", (x.width, self.width)) + state["h"])
        return h, {"h": h}


NAM = {
    "version": "0.5.0",
    "architecture": "LSTM",
    "config": {"input_size": 1, "hidden_size": 2, "num_layers": 1},
    "weights": [0.1] * 39,
}
"""File of Neural Amp Modeler."""


class World:
    """Objects and arguments of calls, renewed from time to time because calls change them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.x = rg.placeholder("x", (None, None, 5))
        self.n = rg.placeholder("n", (None,), "int64")
        self.y = rg.placeholder("y", (None,), "int64")
        self.rows = rg.placeholder("flat", (None, 5))
        self.other = rg.placeholder("other", (None, 7, 2), "float64")
        self.cell = rg.DropoutWrapper(rg.GRUCell(4), output_keep_prob=0.5)
        self.outputs, self.state = rg.dynamic_rnn(self.cell, self.x, sequence_length=self.n)
        self.logits = rg.dense(rg.tap("state", self.state), 3)
        self.loss = rg.sparse_softmax_cross_entropy(self.y, self.logits)
        self.program = rg.compile({"outputs": self.outputs, "logits": self.logits}, loss=self.loss)
        self.simple = rg.compile(rg.dynamic_rnn(rg.BasicLSTMCell(3), self.x)[0])
        self.trainer = rg.Trainer(self.program)
        self.stream = self.simple.inference.stream(2)
        self.pool = self.simple.inference.streams(2)
        self.serving = self.pool.serve(max_wait=0.0)
        self.history = rg.History()
        self.history.append({"epoch": 1, "loss": 0.5, "validation_loss": 0.6})
        self.feeds = {"x": np.zeros((2, 3, 5), np.float32), "n": np.array([1, 3]), "y": np.array([0, 2])}
        self.scope = self._scope()
        self.net = rg.read_nam(json.dumps(NAM).encode())
        self.profile = self.simple.inference.profile({"x": self.feeds["x"]}, seconds=1e-4)
        self.result = self.program.inference(x=self.feeds["x"], n=self.feeds["n"])
        lstm, feeds = rg.dynamic_rnn(rg.LSTMCell(2), self.x)[1], {"x": self.feeds["x"]}
        self.nested = rg.compile({"deep": {"state": lstm}}).inference(feeds)
        self.gradients = self.program.training.gradients(self.feeds)[1]
        self.usage = self.simple.inference.memory(batch=2, time=3)
        self.estimator = sklearn.SequenceClassifier(units=2, epochs=1).fit(self.feeds["x"], [0, 1])

    def _scope(self) -> rg.Scope:
        results: list[rg.Scope] = []

        class Taker(OwnCell):
            def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
                results.append(p)
                return super().step(p, x, state)

        rg.dynamic_rnn(Taker(), self.x)
        return results[0]

    def things(self) -> dict[str, Any]:
        """Return objects with methods that users call, by the keys of ``METHODS``."""
        return {
            "program": self.program,
            "inference": self.program.inference,
            "training": self.program.training,
            "simple": self.simple.inference,
            "trainer": self.trainer,
            "stream": self.stream,
            "history": self.history,
            "pool": self.pool,
            "serving": self.serving,
            "parameters": self.program.parameters,
            "cell": self.cell,
            "tensor": self.x,
            "p": self.scope,
            "net": self.net,
            "profile": self.profile,
            "result": self.result,
            "memory": self.usage,
            "estimator": self.estimator,
            "nested": self.nested["deep"],
            "state tuple": self.nested["deep"]["state"],
            "gradients": self.gradients,
            "inputs": self.program.inputs,
            "row": self.history.row(1),
        }


# The public interface --------------------------------------------------------------------------------


METHODS = {
    "program": (
        "evaluate",
        "predict",
        "initialize",
        "summary",
        "save",
        "plot",
        "explore",
        "threads =",
    ),
    "inference": (
        "__call__",
        "check",
        "taps",
        "memory",
        "prepare",
        "show",
        "stream",
        "streams",
        "export",
        "on_columns",
        "profile",
        "perf_map",
    ),
    "training": ("__call__", "gradients", "check", "taps", "memory", "prepare", "show", "dropout_masks", "profile"),
    "simple": ("__call__", "check", "export"),
    "trainer": (
        "step",
        "fit",
        "evaluate",
        "save",
        "load",
        "reset",
        "flush",
        "show",
        "profile",
        "perf_map",
        "learning_rate =",
    ),
    "stream": ("step", "process", "flush", "reset", "state_bytes", "load_state_bytes", "state ="),
    "pool": (
        "open",
        "close",
        "step",
        "step_rows",
        "state",
        "state_bytes",
        "reset",
        "flush",
        "serve",
        "submit",
        "step_async",
    ),
    "serving": ("close",),
    "net": ("program", "save"),
    "profile": ("plot", "__getitem__", "__contains__"),
    "estimator": ("fit", "partial_fit", "predict", "predict_proba"),
    "history": ("best", "plot", "to_text", "from_text", "row", "__getitem__", "__contains__"),
    "parameters": ("edit", "initialize", "load", "save", "__getitem__", "__setitem__", "__contains__"),
    "cell": ("zero_state", "__call__"),
    "tensor": (
        "__getitem__",
        "__add__",
        "__radd__",
        "__sub__",
        "__mul__",
        "__truediv__",
        "__pow__",
        "__rpow__",
        "__matmul__",
        "__rmatmul__",
        "__lt__",
        "__ge__",
        "__eq__",
        "__and__",
        "__setitem__",
    ),
    "p": ("kernel", "bias", "parameter", "cell", "map"),
    "result": ("__getitem__",),
    "memory": (),
    "nested": ("__getitem__",),
    "state tuple": (),
    "gradients": ("__getitem__",),
    "inputs": ("__getitem__",),
    "row": ("__getitem__",),
}
"""Documented methods of returned objects, as in docs/api.md."""

TRIED: dict[str, Callable[..., Any]] = {
    "attribute": lambda thing, word: getattr(thing, word if isinstance(word, str) else "numpy"),
    "index": lambda thing, key: thing[key],
    "entries": lambda thing: [*thing],
}
"""By name: operations of Python's syntax that a program may apply to any object, such as indexing."""
WORDS = (*OF_NETS, *OF_TENSORS, "logits", "outputs", "x", "keys", "items", "loss", "no_such_thing")

GIVEN = (
    "Cell",
    "Program",
    "Stream",
    "StreamPool",
    "StreamHandle",
    "Scope",
    "Tensor",
    "Result",
    "NonFinite",
    "MemoryUsage",
    "Memory",
    "History",
    "Profile",
)
"""Classes whose objects users receive from functions, and do not create."""


WEIGHTS = ("from_torch", "from_keras", "from_onnx", "from_cudnn", "to_torch", "to_keras", "to_onnx")
"""Functions of ``rg.weights``."""
REMOVING = ("DeleteRecursively", "rmtree")
"""Functions of ``tf.gfile`` that would remove the working folder."""


def surface(world: World) -> dict[str, Callable[..., Any]]:
    """Return all functions and methods to call, by their names in messages."""
    results: dict[str, Callable[..., Any]] = {}
    for name in rg.__all__:
        value = getattr(rg, name)
        is_error = isinstance(value, type) and issubclass(value, Exception)
        if callable(value) and not is_error and name not in GIVEN:
            results[f"rg.{name}"] = value
    results |= {f"rg.weights.{name}": getattr(rg.weights, name) for name in WEIGHTS}
    results |= {f"rg.sklearn.{name}": getattr(sklearn, name) for name in sklearn.__all__}
    results.update(_of_namespace("tf", tf1))
    for owner, thing in world.things().items():
        for name in METHODS[owner]:
            method = _setter(thing, name[:-2]) if name.endswith(" =") else getattr(thing, name)
            method = _awaiting(method) if name in COROUTINES else method
            results[f"{owner}.{name}"] = method
        if owner not in ("p", "cell", "estimator"):  # these objects have plain classes, without hints for missing names
            results |= {f"{owner}.{name}": functools.partial(tried, thing) for name, tried in TRIED.items()}
    return results


COROUTINES = ("step_async",)


def _awaiting(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **keywords: Any) -> Any:
        async def all_of_it() -> Any:
            return await method(*arguments, **keywords)

        return asyncio.run(all_of_it())

    return call


def _setter(thing: Any, name: str) -> Callable[..., Any]:
    def set_to(value: Any) -> None:
        setattr(thing, name, value)

    return set_to


def _of_namespace(path: str, space: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in dir(space):
        value = getattr(space, name)
        if name.startswith("_") or (isinstance(value, ModuleType) and not _is_path(value)):
            continue
        if isinstance(value, ModuleType):
            yield from _of_namespace(f"{path}.{name}", value)
        elif callable(value) and getattr(value, "__module__", "").startswith("rnngraph"):
            if name in (*GIVEN, *REMOVING) or (isinstance(value, type) and issubclass(value, Exception)):
                continue
            yield f"{path}.{name}", value


def _is_path(module: ModuleType) -> bool:
    """True for a module that programs import. Reading a name that it lacks raises an error with a suggestion."""
    return module.__name__.split(".")[-1] in MODULES and "__all__" in vars(module)


# Values ----------------------------------------------------------------------------------------------


def _tensors(w: World) -> list[Any]:
    return [w.x, w.n, w.y, w.rows, w.other, w.outputs, w.state, w.logits, w.loss]


WRONG: list[Make] = [
    lambda w: None,
    lambda w: True,
    lambda w: False,
    lambda w: float("nan"),
    lambda w: float("inf"),
    lambda w: -1,
    lambda w: 0,
    lambda w: 1,
    lambda w: 2,
    lambda w: 2**63,
    lambda w: -(2**63) - 1,
    lambda w: 2**64 + 1,
    lambda w: 0.5,
    lambda w: -0.5,
    lambda w: 1e308,
    lambda w: 10**400,
    lambda w: 1j,
    lambda w: "",
    lambda w: "x",
    lambda w: "no such thing",
    lambda w: "a" * 5000,
    lambda w: "a\nb",
    lambda w: "\0",
    lambda w: "mean",
    lambda w: b"bytes",
    lambda w: [],
    lambda w: (),
    lambda w: {},
    lambda w: [1, 2],
    lambda w: [None],
    lambda w: [[1], [2, 3]],
    lambda w: ("x", None, 5),
    lambda w: [-1],
    lambda w: list(range(5000)),
    lambda w: {"x": 1},
    lambda w: {1: 2},
    lambda w: {"a": {"b": [1, "c"]}},
    lambda w: {None},
    lambda w: np.int64(3),
    lambda w: np.int64(-3),
    lambda w: np.float32(0.5),
    lambda w: np.float32,
    lambda w: np.bool_(True),
    lambda w: np.float16(1),
    lambda w: np.uint8(4),
    lambda w: np.zeros(3),
    lambda w: np.zeros((0,)),
    lambda w: np.zeros(()),
    lambda w: np.zeros((2, 3, 5), np.float32),
    lambda w: np.zeros((300, 300)),
    lambda w: np.array(["a"]),
    lambda w: np.array([None]),
    lambda w: np.zeros((2, 3, 5), np.complex64),
    lambda w: np.array([True, False]),
    lambda w: np.zeros((2, 3, 4))[:, ::-1],
    lambda w: np.array([np.nan, 1]),
    lambda w: np.datetime64("2020-01-01"),
    lambda w: np.zeros(2, [("a", "f4")]),
    lambda w: slice(None),
    lambda w: ...,
    lambda w: range(3),
    lambda w: object(),
    lambda w: Rude(),
    lambda w: [Rude()],
    lambda w: {"x": Rude()},
    lambda w: int,
    lambda w: rg,
    lambda w: print,
    lambda w: lambda *a, **k: None,
    lambda w: lambda *a, **k: "text",
    lambda w: lambda x, *a: x,
    lambda w: iter([1, 2]),
    lambda w: (i for i in range(3)),
    lambda w: Path("no/such/place"),
    lambda w: w.folder,
    lambda w: w.cell,
    lambda w: OwnCell(2),
    lambda w: OwnCell,
    lambda w: rg.GRUCell,
    lambda w: [rg.GRUCell(2), OwnCell(5)],
    lambda w: w.program,
    lambda w: w.trainer,
    lambda w: w.stream,
    lambda w: w.program.parameters,
    lambda w: w.program.inference,
    lambda w: w.history,
    lambda w: {w.x: w.feeds["x"]},
    lambda w: rg.Adam(),
    lambda w: rg.CosineDecay(0.1, 3),
    lambda w: rg.LSTMStateTuple(1, 2),
    lambda w: {"h": w.state},
    lambda w: [w.rows, w.rows],
    lambda w: (w.x, "x"),
    lambda w: rg.constant(3),
    lambda w: rg.constant(1.5),
    lambda w: rg.constant(np.zeros((2, 0))),
    lambda w: rg.constant(True),
    lambda w: rg.placeholder("s", ("T", "T")),
    lambda w: {i: i for i in range(2000)},
    lambda w: frozenset([1]),
    lambda w: memoryview(b"ab"),
    lambda w: bytearray(b"ab"),
    lambda w: NotImplemented,
    lambda w: Exception("x"),
    lambda w: rg.ShapeError,
    lambda w: "float32",
    lambda w: "int8",
]


def _any_tensor(w: World, draw: random.Random) -> Any:
    return draw.choice(_tensors(w))


def _good(w: World) -> dict[str, list[Any]]:
    """Return valid arguments, by the names of parameters."""
    floats, ints = [w.x, w.outputs, w.rows, w.logits], [w.n, w.y, rg.constant([0, 1])]
    cells = [rg.GRUCell(3), w.cell, OwnCell(3), rg.BasicLSTMCell(2), rg.MultiRNNCell([rg.GRUCell(2)])]
    by = {
        "x": floats,
        "a": floats,
        "b": [2.0, w.logits],
        "inputs": [w.x],
        "tensor": floats,
        "features": floats,
        "input_tensor": floats,
        "like": [w.rows],
        "table": [w.rows],
        "params": [w.rows],
        "indices": ints,
        "ids": ints,
        "memory": [w.outputs],
        "value": [1.0, [1, 2]],
        "values": [[w.rows, w.rows]],
        "tensors": [[w.rows, w.rows]],
        "cell": cells,
        "cell_fw": cells,
        "cell_bw": cells,
        "cells": [cells[:2]],
        "cells_fw": [cells[:1]],
        "cells_bw": [cells[:1]],
        "num_units": [3],
        "units": [3],
        "width": [3],
        "vocabulary": [9],
        "depth": [4],
        "filters": [2],
        "kernel_size": [3],
        "num_outputs": [3],
        "num_proj": [2],
        "output_size": [3],
        "axis": [0, -1, 1],
        "perm": [[1, 0]],
        "shape": [(2, 3), [None, 3]],
        "multiples": [[1, 2]],
        "parts": [1],
        "dtype": ["float32"],
        "name": ["name"],
        "condition": [w.rows > 0],
        "lengths": [w.n],
        "sequence_length": [w.n],
        "labels": [w.y],
        "logits": [w.logits],
        "predictions": [w.logits],
        "targets": [w.y],
        "keep_prob": [0.5],
        "state_keep_prob": [0.5],
        "attention": [rg.LuongAttention(3, w.outputs)],
        "activation": ["tanh", rg.tanh],
        "first_input": [w.rows],
        "next_input": [lambda output, x: rg.dense(output, 5)],
        "max_steps": [3],
        "outputs": [{"y": w.logits}],
        "loss": [w.loss],
        "program": [w.program],
        "optimizer": [rg.Adam()],
        "learning_rate": [0.1],
        "initial": [0.1],
        "decay_steps": [3],
        "decay_rate": [0.5],
        "boundaries": [(1,)],
        "steps": [3],
        "after": [0.1],
        "path": [str(w.folder / "file.npz"), w.folder / "saved"],
        "examples": [w.feeds],
        "feeds": [w.feeds],
        "batch": [2],
        "epochs": [1],
        "batch_size": [2],
        "seed": [1],
        "stage": ["graph"],
        "column": ["loss"],
        "directory": [w.folder / "export"],
        "training": [w.rows],
        "inference": [w.rows],
        "source": [dict(w.program.parameters)],
        "state": [w.state],
        "function": [lambda n, t: t],
        "initializer": ["zeros"],
        "reduction": ["mean"],
        "low": [0.0],
        "high": [1.0],
        "key": ["x"],
        "text": ["{}"],
        "seconds": [0.001],
        "recompute": ["auto", None, 2],
        "prune": [rg.Prune(0.5, (1, 2), end=3)],
        "comm": [None],
        "shards": [1, 2],
        "sparse": [True],
        "activations": ["float32", "int8"],
        "density": [0.5],
        "block": [(1, 2)],
        "opset": [17],
        "X": [w.feeds["x"]],
        "threads": [1],
        "clip_norm": [1.0],
        "read_nam.source": [json.dumps(NAM).encode()],
        "fixed": [{"sr": 16000}],
        "states": [{}],
        "with_update.value": [1.0],
        "direct_calls": [False],
    }
    names, handle = [*w.program.parameters], w.pool.open()
    floats_like = [w.logits]
    of_one = {
        "softmax_cross_entropy.labels": floats_like,
        "sigmoid_cross_entropy.labels": floats_like,
        "mean_squared_error.labels": floats_like,
        "absolute_difference.labels": floats_like,
        "huber_loss.labels": floats_like,
        "softmax_cross_entropy_with_logits.labels": floats_like,
        "softmax_cross_entropy_with_logits_v2.labels": floats_like,
        "sigmoid_cross_entropy_with_logits.labels": floats_like,
        "ctc_loss.labels": [rg.placeholder("l", (None, 3), "int64")],
        "ctc_loss.logits": [w.outputs],
        "logical_not.x": [w.rows > 0],
        "logical_and.a": [w.rows > 0],
        "logical_and.b": [w.rows > 0],
        "logical_or.a": [w.rows > 0],
        "logical_or.b": [w.rows > 0],
        "logical_and.x": [w.rows > 0],
        "logical_and.y": [w.rows > 0],
        "logical_or.x": [w.rows > 0],
        "logical_or.y": [w.rows > 0],
        "rg.where.a": [w.rows],
        "rg.where.b": [1.0],
        "tf.where.x": [w.rows],
        "tf.where.y": [1.0],
        "static_rnn.inputs": [[w.rows, w.rows]],
        "tf.matmul.a": [w.rows],
        "tf.matmul.b": [np.ones((5, 2), np.float32)],
        "rg.matmul.a": [w.rows],
        "rg.matmul.b": [np.ones((5, 2), np.float32)],
        "tensor.__matmul__.other": [np.ones((5, 2), np.float32)],
        "tensor.__getitem__.index": [0, (slice(None), 1)],
        "gather_last.outputs": [w.outputs],
        "rg.tile.x": [w.rows],
        "rg.squeeze.axis": [None],
        "rg.transpose.x": [w.rows],
        "rg.reshape.x": [w.rows],
        "rg.reshape.shape": [(None, 5), (-1,)],
        "parameters.__getitem__.name": names,
        "parameters.edit.name": names,
        "parameters.__setitem__.name": names[:1],
        "index.key": [["x"], ["logits", "outputs"], 0, slice(None), "x", "logits", "loss"],
        "attribute.word": [*WORDS],
        "result.__getitem__.key": ["logits", ["logits", "outputs"], slice(None)],
        "parameters.__setitem__.value": [np.zeros((9, 8))],
        "stream.state = .value": [(np.ones((2, 3)), np.ones((2, 3)))],
        "load_state_bytes.data": [w.stream.state_bytes()],
        "program.threads =.value": [1, 2],
        "trainer.learning_rate =.value": [0.1],
        "history.__getitem__.name": ["loss"],
        "p.cell.cell": [OwnCell(2)],
        "PiecewiseConstant.values": [(0.1, 0.2)],
        "rg.load.path": [w.folder / "saved"],
        "trainer.load.path": [w.folder / "run.safetensors"],
        "trainer.save.path": [w.folder / "run.safetensors"],
        "plot.path": [None],
        "program.plot.path": [w.folder / "net.svg"],
        "program.plot.graphs": ["both", "training"],
        "program.plot.detail": [None, "cells"],
        "program.explore.path": [None, w.folder / "net.html"],
        "program.explore.profile": [None],
        "program.explore.title": ["a net"],
        "rg.compile.weights": ["float32"],
        "rg.compile.parameters": [w.program],
        "tf.placeholder.shape": [(None, 3)],
        "accuracy.labels": [w.y],
        "in_top_k.k": [1],
        "in_top_k.predictions": [w.logits],
        "zero_state.batch_size": [2],
        "tf.reshape.shape": [[-1, 5]],
        "inference.export.target": [None],
        "joined.leaves": [3],
        "training.gradients.wrt": [["x"], [w.x]],
        "trainer.fit.lengths": [w.n],
        "pool.open.state": [None, w.pool.state(handle)],
        "pool.step.feeds": [{handle: {"x": np.ones(5, np.float32)}}],
        "step_rows.handles": [[handle]],
        "max_batch": [4],
        "max_wait": [0.0],
        "cancel": [True],
        "capacity": [2],
        "rg.compile.states": [None],
        "from_torch.arrays": [_TORCH],
        "to_torch.parameters": [_LSTM],
        "to_keras.parameters": [_LSTM],
        "to_onnx.parameters": [_LSTM],
        "from_keras.arrays": [[*_KERAS.values()], _KERAS],
        "from_torch.cell": [rg.LSTMCell(2)],
        "to_torch.cell": [rg.LSTMCell(2)],
        "from_keras.cell": [rg.LSTMCell(2)],
        "to_keras.cell": [rg.LSTMCell(2)],
        "to_onnx.cell": [rg.LSTMCell(2)],
        "loads.data": [rg.dumps(w.simple)],
        "dumps.thing": [w.simple, w.stream],
        "write_onnx.path": [w.folder / "net.onnx"],
        "net.save.folder": [w.folder / "net"],
        "estimator.fit.y": [[0, 1]],
        "partial_fit.y": [[0, 1]],
        "profile.plot.path": [None, w.folder / "p.svg"],
        "row.epoch": [1],
        "profile.__getitem__.key": [*w.profile][:2],
        "on_columns.names": ["x"],
        "step.fetch": [{"y": w.logits}],
        "trainer.fit.examples": [{w.x: w.feeds["x"], w.n: w.feeds["n"], w.y: w.feeds["y"]}],
    }
    by |= of_one
    by["handle"] = [handle]
    return by | {"weights": [1.0, "float32"], "cache": [False], "progress": [False], "link": [False], "p": [w.scope]}


def shape_of(world: World, kind: str, *shape: int) -> np.ndarray:
    """Return a valid feed of a kind and shape."""
    return np.ones(shape, kind)


_X, _N, _Y = ("x", "float32", 2, 3, 5), ("n", "int64", 2), ("y", "int64", 2)
FEEDS: dict[str, list[Any]] = {
    "program": [_X, _N, _Y],
    "inference": [_X, _N],
    "training": [_X, _N, _Y],
    "simple": [_X],
    "trainer": [_X, _N, _Y],
    "stream": [_X],
    "stream.step": [("x", "float32", 2, 5)],
    "inference.memory": [],
    "inference.prepare": [],
    "pool": [],
    "pool.step_rows": [("x", "float32", 1, 5)],
    "pool.submit": [("x", "float32", 5)],
    "training.memory": [],
    "training.prepare": [],
    "pool.step_async": [("x", "float32", 5)],
}

_LSTM = {"kernel": np.ones((5, 8), np.float32), "bias": np.ones(8, np.float32)}
_TORCH = {"weight_ih": np.ones((8, 3)), "weight_hh": np.ones((8, 2)), "bias_ih": np.zeros(8), "bias_hh": np.zeros(8)}
_KERAS = {"kernel": np.ones((3, 8)), "recurrent_kernel": np.ones((2, 8)), "bias": np.zeros(8)}

KNOWN = ("x", "n", "y", "rows", "loss", "samples", "threads", "units", "rate", "dropout", "lr", "verbose", "name")


class Call:
    """Random call: a function and its arguments."""

    def __init__(self, world: World, seed: int) -> None:
        self.seed, draw = seed, random.Random(seed)
        actual = surface(world)
        methods = draw.random() < 0.5
        self.name = draw.choice([name for name in sorted(actual) if not methods or not name.startswith(("rg.", "tf."))])
        self.function, good = actual[self.name], _good(world)
        self.compiled = draw.random() < 0.1
        self.arguments: list[Any] = []
        self.keywords: dict[str, Any] = {}
        parameters = self._parameters()
        # None, one, some or all of the arguments are wrong.
        chosen = draw.choice([item.name for item in parameters] or [""])
        share = draw.choice((0.0, 0.0, None, None, None, None, 0.3, 0.3, 1.0))
        as_written = self.name.endswith((" =", "__", *TRIED)) and not self.name.endswith("__call__")
        for item in parameters:
            if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
                continue
            known = self._known(item.name, good)
            often = 0.15 if known or share == 1.0 else 0.0
            wanted = as_written or item.default is item.empty or item.name == chosen or draw.random() < often
            if not wanted or (not as_written and draw.random() < 0.01):
                continue
            wrong = item.name == chosen if share is None else draw.random() < share
            value = draw.choice(known) if known and not wrong else self._wrong(world, draw)
            place = len(self.arguments)
            if item.kind is item.POSITIONAL_ONLY or (parameters[place].name == item.name and draw.random() < 0.7):
                self.arguments.append(value)
            else:
                self.keywords[item.name] = value
        owner = self.name.partition(".")[0]
        if any(item.kind is item.VAR_KEYWORD for item in parameters) and owner in FEEDS and not self.arguments:
            feeds = FEEDS[self.name if self.name in FEEDS else owner]
            self.keywords.update({name: shape_of(world, *shape) for name, *shape in feeds})
            if share is None and feeds:
                self.keywords[draw.choice(feeds)[0]] = draw.choice(WRONG)(world)
        if not as_written and draw.random() < 0.05:
            self.keywords[draw.choice(KNOWN)] = draw.choice(WRONG)(world)
        if not as_written and draw.random() < 0.02:
            self.arguments.append(draw.choice(WRONG)(world))

    def _parameters(self) -> list[inspect.Parameter]:
        try:
            return list(inspect.signature(self.function).parameters.values())
        except ValueError:  # a built-in type, which has no signature
            kind = inspect.Parameter.POSITIONAL_ONLY
            return [inspect.Parameter("key", kind)] if self.name.endswith("__") else []

    def _known(self, name: str, good: dict[str, list[Any]]) -> list[Any]:
        keys = (f"{self.name}.{name}", f"{self.name.rpartition('.')[2]}.{name}", name)
        return next((good[key] for key in keys if key in good), [])

    def _wrong(self, world: World, draw: random.Random) -> Any:
        return _any_tensor(world, draw) if draw.random() < 0.2 else draw.choice(WRONG)(world)

    def run(self) -> BaseException | None:
        """Make the call, and return its exception; None if it succeeds."""
        try:
            result = self.function(*self.arguments, **self.keywords)
            if hasattr(result, "__enter__"):
                with result:
                    pass
            if self.compiled and isinstance(result, rg.Tensor):
                self._compile(result)
        except Exception as error:
            return error
        return None

    def _compile(self, tensor: rg.Tensor) -> None:
        """Compile and run the declaration, with random values of the placeholders' open sizes."""
        program = rg.compile({"y": tensor}, cache=False)
        kinds, draw = program.inference.input_types(), np.random.default_rng(self.seed)
        sizes = {symbol: int(draw.integers(1, 4)) for kind in kinds.values() for symbol in sorted(kind.symbols)}
        shapes = {name: [evaluate(dim, sizes) for dim in kind.shape] for name, kind in kinds.items()}
        program.inference({name: np.ones(shape, kinds[name].dtype) for name, shape in shapes.items()})

    def __str__(self) -> str:
        parts = [*map(_text, self.arguments), *(f"{name[:40]}={_text(value)}" for name, value in self.keywords.items())]
        return f"seed {self.seed}: {self.name}({', '.join(parts)})"


def _text(value: Any) -> str:
    try:
        return " ".join(repr(value).split())[:100]
    except RuntimeError:
        return "an object " + RUDE


class NeverEndsError(BaseException):
    """Error of a call that took too long."""


def finding(call: Call) -> str | None:
    """Return a description of a call's misbehaviour; None if the call succeeds or raises a proper error."""

    def end(*_: Any) -> None:
        raise NeverEndsError

    clocks: tuple[tuple[int, int, float], ...] = ()
    if not WINDOWS:  # Windows has no timers that interrupt a thread
        clocks = ((signal.SIGPROF, signal.ITIMER_PROF, SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, ASLEEP))
    before = [signal.signal(sign, end) for sign, *_ in clocks]
    for _, clock, seconds in clocks:  # CPU time, because a call may be slow on a busy machine
        signal.setitimer(clock, seconds)
    try:
        error = call.run()
    except NeverEndsError:
        return f"{call}\n  takes more than {SECONDS} s of computing, or does nothing for {ASLEEP} s"
    finally:
        for (sign, clock, _), handler in zip(clocks, before, strict=True):
            signal.setitimer(clock, 0)
            signal.signal(sign, handler)
    if error is None:
        return None
    if isinstance(error, NotFittedError):  # scikit-learn requires this class, whose text has a remedy
        return None
    if not isinstance(error, rg.RnnGraphError):
        return f"{call}\n  raises {type(error).__name__}: {str(error)[:300]}{_last_line(error)}"
    text = str(error)
    if len(text) > MAX_CHARACTERS + len(str(error.where)):
        return f"{call}\n  says {len(text)} characters: {text[:200]}"
    if not isinstance(error.where, Where) or not text.startswith(f"{error.where}: ") or error.where.file != __file__:
        return f"{call}\n  does not begin with the line at fault: {text[:200]}"
    return None


def _last_line(error: BaseException) -> str:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "" if at is None else f"  at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}"


def findings(folder: Path, seeds: range) -> Iterator[str]:
    """Yield the misbehaviour of the calls of these seeds."""
    world = World(folder)
    for seed in seeds:
        if seed % 50 == 0:
            world = World(folder)
        actual = finding(Call(world, seed))
        if actual is not None:
            yield actual
