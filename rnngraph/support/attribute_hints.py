"""Errors for missing attributes, entries and calls that name the replacement, often for another framework's name.

A class gets these errors by deriving from ``Telling``, ``Unindexed`` or ``Uncalled``. Type checkers do not see the
methods, so they report the mistakes themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Number
from typing import TYPE_CHECKING, Any, Never, TypeVar

from .errors import CallError, DtypeError, NameLookupError, NotOfferedError, did_you_mean, shown

_GRADIENTS = "program.training.gradients(x=…) gives (loss, gradients)"
_FIT = "rg.Trainer(program, rg.Adam(1e-3)) has step and fit"
_MODES = "leave it out; program.inference runs without dropout, program.training with it"
_CPU = "leave it out; it runs on the CPU, and program.threads says on how many cores"
_RUN = "write program.inference(x=…)"
_VALUES = "a Tensor has no numbers; rg.compile it, and program.inference(x=…) gives them, or session.run(tensor)"
_CAST = "write rg.cast(x, dtype)"
_WEIGHTS = "write dict(program.parameters), or program.parameters[name]"

_INPUTS, _OUTPUTS = "see program.inputs, by name", "see program.outputs, by name"
_NATIVE = "leave it out; it runs as native code"
_DOUBLE = 'write dtype="float64" of rg.placeholder, and of rg.parameter'
_GRAPH = 'write program.inference.graph, or program.inference.show("graph")'
_DECLARE = "declare Tensors, as in rg.dense(x, units), and give them to rg.compile"
_MEASURE = "write trainer.evaluate(examples, metrics={…})"
_METRICS = "write metrics={…} of trainer.fit"
_PROGRAM = "rg.compile gives the program, which rg.Trainer(program) trains"

_STREAM = "write stream = program.inference.stream(batch), which has step, process, state and flush"
_POOL = "write pool = program.inference.streams(capacity), which has it"
_TRAINER = "write trainer = rg.Trainer(program, rg.Adam(1e-3)), which has it"

OF_NETS = {
    "to": _CPU, "cuda": _CPU, "cpu": _CPU, "device": _CPU, "half": 'write weights="bfloat16" of rg.compile',
    "eval": _MODES, "forward": _RUN, "call": _RUN, "run": _RUN, "apply": _RUN, "predict_step": _RUN,
    "predict_on_batch": _RUN, "predict_proba": "write rg.softmax(logits) as an output",
    "state_dict": _WEIGHTS, "get_weights": _WEIGHTS, "weights": _WEIGHTS, "variables": _WEIGHTS,
    "trainable_variables": _WEIGHTS, "trainable_weights": _WEIGHTS, "named_parameters": _WEIGHTS,
    "load_state_dict": "write program.parameters.load(arrays)", "set_weights": "write program.parameters.load(arrays)",
    "load_weights": "write program.parameters.load(path)", "save_weights": "write program.parameters.save(path)",
    "save_model": "write program.save(path)", "to_onnx": "write rg.write_onnx(program, path)",
    "backward": _GRADIENTS, "grad": _GRADIENTS, "zero_grad": f"leave it out; nothing adds up, as {_GRADIENTS}",
    "compile": f"rg.compile has made the program; {_FIT}", "fit": _FIT, "step": _FIT, "train": _FIT,
    "train_on_batch": _FIT, "train_step": _FIT, "test_on_batch": "write program.evaluate(x=…, y=…)",
    "reset_states": "write stream.reset()", "reset_state": "write stream.reset()", "layers": "see program.summary()",
    "children": "see program.summary()", "modules": "see program.summary()", "count_params": "see program.summary()",
    "requires_grad_": "write only= of rg.Trainer", "trainable": "write only= of rg.Trainer",
    "freeze": "write only= of rg.Trainer", "lr": "write trainer.learning_rate", "optimizer": _FIT,
    "export": "write program.inference.export(folder)", "stream": "write program.inference.stream(batch)",
    "streams": "write program.inference.streams(capacity)", "gradients": _GRADIENTS,
    "profile": "write program.inference.profile(x=…)", "show": 'write program.inference.show("graph")',
    "memory": "write program.inference.memory(batch=…)", "quantize": 'write weights="int8" of rg.compile',
    "predict": "write program.predict(x), over examples", "evaluate": "write program.evaluate(x=…, y=…)",
    "summary": "write program.summary()", "save": "write program.save(path)", "plot": "write program.plot(path)",
    "parameters": _WEIGHTS, "inference": _RUN, "training": "write program.training(x=…, y=…, seed=…)",
    "initialize": "write program.initialize(seed)", "loss": "write program.evaluate(x=…, y=…), which has the loss",
    "inputs": _INPUTS, "get_inputs": _INPUTS, "input_names": _INPUTS, "input_shape": _INPUTS, "dtype": _INPUTS,
    "outputs": _OUTPUTS, "get_outputs": _OUTPUTS, "output_names": _OUTPUTS, "output_shape": _OUTPUTS, "keys": _OUTPUTS,
    "get_providers": _CPU, "providers": _CPU, "share_memory": _CPU, "jit": _NATIVE, "script": _NATIVE, "trace": _NATIVE,
    "double": _DOUBLE, "float": _DOUBLE, "get_layer": "see program.summary()", "graph": _GRAPH,
    "to_json": "write program.save(path)", "get_config": "write program.save(path)",
    "load": "write rg.load(path), a program; or rg.Trainer.load(path, program)",
    "load_checkpoint": "write rg.Trainer.load(path, program)", "load_model": "write rg.load(path)",
    "save_checkpoint": "write trainer.save(path)", "save_pretrained": "write program.save(path)",
    "fit_generator": _FIT, "fit_transform": _FIT, "minimize": _FIT, "validate": _MEASURE, "test": _MEASURE,
    "score": _MEASURE, "metrics": _METRICS, "metrics_names": _METRICS, "get_modelmeta": _INPUTS,
    "callbacks": "write callbacks=[…] of trainer.fit", "stop_training": "let a callback of trainer.fit return True",
    "history": "it is what trainer.fit gives", "param_groups": "write trainer.learning_rate",
    "learning_rate": "write trainer.learning_rate", "zero_gradients": "leave it out; nothing adds up",
    "add": _DECLARE, "build": _DECLARE, "add_module": _DECLARE, "register_buffer": _DECLARE,
    "plot_model": "write program.plot(path)", "reset": "write stream.reset()", "model": _PROGRAM, "module": _PROGRAM,
    "net": _PROGRAM, "program": _PROGRAM,
    "convert": "write rg.write_onnx(program, path), or program.inference.export(folder)",
    "perf_map": "write program.inference.perf_map()", "on_columns": "write program.inference.on_columns(…)",
    "explore": "write program.explore(path)", "declared": "see program.declared", "classes": "see program.classes",
    "seed": "see program.seed", "target": "see program.target", "threads": "see program.threads",
    "with_outputs": "write program.with_outputs(outputs)", "stages": "see program.inference.stages",
    "export_plugin": "write program.inference.export_plugin(folder)", "check": "write program.training.check(x=…)",
    "dropout_masks": "write program.training.dropout_masks(seed=…)", "process": _STREAM,
    "chunk": "write stream.process(x=…)",
    "flush": _STREAM, "restore": _STREAM, "state": _STREAM, "state_bytes": _STREAM, "load_state_bytes": _STREAM,
    "delay": _STREAM, "rate": _STREAM, "close": "leave it out; its memory is freed with it", "open": _POOL,
    "serve": _POOL, "submit": _POOL, "step_rows": _POOL, "step_async": _POOL, "capacity": _POOL, "clip_norm": _TRAINER,
    "clip_value": _TRAINER, "accumulate": _TRAINER, "prune": _TRAINER, "shards": _TRAINER, "updates": _TRAINER,
    "skipped": _TRAINER, "gradient_norm": _TRAINER, "epochs": _TRAINER, "trained": _TRAINER, "session": _RUN,
    "logits": _RUN, "numpy": _RUN, "cpu_count": _CPU,
} | dict.fromkeys(
    ("get_params", "set_params", "classes_", "coef_", "transform", "decision_function", "predict_log_proba"),
    "rnngraph.sklearn has estimators",
)  # fmt: skip
"""Remedies by missing attribute, for programs and their graphs, trainers, streams and nets."""

OF_TRAINERS = {
    **OF_NETS, "train": "write trainer.fit(examples), or trainer.step(x=…, y=…)", "model": "write trainer.program",
    "train_on_batch": "write trainer.step(x=…, y=…)", "train_step": "write trainer.step(x=…, y=…)",
    "module": "write trainer.program", "net": "write trainer.program", "zero_grad": "leave it out; nothing adds up",
    "backward": "write trainer.step(x=…, y=…), which computes gradients and updates",
    "compile": "rg.Trainer(program, rg.Adam(1e-3)) is compiled at its first step",
    "state_dict": "write trainer.save(path)", "load_state_dict": "write rg.Trainer.load(path, program)",
}  # fmt: skip
"""Remedies by missing attribute of a trainer."""

OF_TENSORS = {
    "numpy": _VALUES, "eval": _VALUES, "item": _VALUES, "tolist": _VALUES, "detach": "write rg.stop_gradient(x)",
    "cpu": _VALUES, "cuda": _CPU, "data": _VALUES, "grad": _GRADIENTS, "backward": _GRADIENTS,
    "requires_grad": _GRADIENTS, "view": "write rg.reshape(x, shape)", "flatten": "write rg.reshape(x, shape)",
    "permute": "write rg.transpose(x, axes)", "t": "write rg.transpose(x, axes)", "T": "write rg.transpose(x, axes)",
    "swapaxes": "write rg.transpose(x, axes)", "unsqueeze": "write rg.expand_dims(x, axis)",
    "mean": "write rg.reduce_mean(x, axis)", "sum": "write rg.reduce_sum(x, axis)",
    "max": "write rg.reduce_max(x, axis)", "min": "write rg.reduce_min(x, axis)", "all": "write rg.reduce_all(x, axis)",
    "any": "write rg.reduce_any(x, axis)", "float": _CAST, "double": _CAST, "long": _CAST, "int": _CAST, "bool": _CAST,
    "half": _CAST, "astype": _CAST, "type_as": _CAST, "to": _CAST, "size": "write x.shape",
    "get_shape": "write x.shape", "set_shape": "give the shape to rg.placeholder", "dim": "write x.rank",
    "ndim": "write x.rank", "expand": "write rg.broadcast_to(x, shape)", "repeat": "write rg.tile(x, multiples)",
    "chunk": "write rg.split(x, parts, axis)", "pow": "write x ** y", "add": "write x + y", "sub": "write x - y",
    "mul": "write x * y", "div": "write x / y", "eq": "write rg.equal(x, y)",
    "clamp": "write rg.clip(x, low, high)",
} | {
    name: f"write rg.{name}(x)"
    for name in ("abs", "argmax", "clip", "cos", "cumsum", "erf", "exp", "gather", "log", "matmul", "pad", "relu",
                 "reshape", "sigmoid", "sign", "sin", "softmax", "split", "sqrt", "square", "squeeze", "tanh", "tile",
                 "transpose")
}  # fmt: skip
"""Remedies by missing attribute of a Tensor."""

_FIXED = "a Tensor never changes; make another by rg.where(condition, x, y), rg.concat or rg.pad"
_LOGICAL = "a Tensor has no & | ^ ~ << >>; write rg.logical_and(x, y), rg.logical_or, rg.not_equal, rg.logical_not(x)"
OPERATORS = {
    "setitem": _FIXED, "delitem": _FIXED, "and": _LOGICAL, "rand": _LOGICAL, "or": _LOGICAL, "ror": _LOGICAL,
    "xor": _LOGICAL, "rxor": _LOGICAL, "invert": _LOGICAL, "lshift": _LOGICAL, "rlshift": _LOGICAL, "rshift": _LOGICAL,
    "rrshift": _LOGICAL, "contains": "a Tensor has no entries to look through; write rg.reduce_any(rg.equal(x, value))",
    "array": _VALUES, "round": _VALUES, "complex": _VALUES,
}  # fmt: skip
"""Remedies by operator that Tensors lack. TensorFlow 1's Tensors have some of them."""

_ARRAYS = "its arrays are NumPy's: write result[name]"
OF_RESULTS = dict.fromkeys(("numpy", "detach", "cpu", "to", "item", "tolist", "eval", "data"), _ARRAYS)
"""Remedies by missing attribute of a result."""

OF_HISTORIES = {
    "history": 'it is the mapping itself: write history["loss"]', "params": "see trainer.optimizer",
    "model": "see trainer.program", "to_dataframe": "write pandas.DataFrame(history)",
    "to_csv": "write pandas.DataFrame(history).to_csv(path)", "to_json": "write history.to_text()",
    "show": 'write history.plot("run.png"), or leave it as a cell\'s last line',
}  # fmt: skip
"""Remedies by missing attribute of a history."""

OF_HANDLES = {
    "step": 'write pool.step({handle: {"x": …}})', "process": 'write pool.step({handle: {"x": …}}), step by step',
    "submit": "write pool.submit(handle, x=…)", "reset": "write pool.reset(handle)",
    "state": "write pool.state(handle)", "flush": "write pool.flush(handle)", "pool": "it is what opened the handle",
}  # fmt: skip
"""Remedies by missing attribute of a handle to a pool's stream."""

OF_PARAMETERS = {
    "state_dict": "it is a mapping: write dict(program.parameters)", "numpy": "write program.parameters[name]",
    "get_weights": "write [*program.parameters.values()]", "load_state_dict": "write program.parameters.load(arrays)",
    "set_weights": "write program.parameters.load(arrays)", "update": "write program.parameters.load(arrays)",
    "assign": "write program.parameters[name] = array", "set": "write program.parameters[name] = array",
    "parameters": "write program.parameters.values()", "named_parameters": "write program.parameters.items()",
    "count": "see program.summary()", "grad": _GRADIENTS, "requires_grad_": "write only= of rg.Trainer", "to": _CPU,
    "zero_grad": f"leave it out; nothing adds up, as {_GRADIENTS}",
}  # fmt: skip
"""Remedies by missing attribute of a program's parameters."""

CALLED = {
    "Program": "write program.inference(x=…), or program.training(x=…, y=…)",
    "Net": "write program = net.program(), then program.inference(x=…)",
    "Cell": "write outputs, state = rg.dynamic_rnn(cell, x)",
    "Trainer": "write trainer.step(x=…, y=…)", "Stream": "write stream.step(x=…) or stream.process(x=…)",
    "StreamPool": 'write pool.step({handle: {"x": …}})',
    "Parameters": "write program.parameters.values(), or dict(program.parameters)",
    "Arrays": "write net.parameters.values(), or dict(net.parameters)",
    "Result": "write result[name], an array",
}  # fmt: skip
"""Remedies for calling an object, by class name."""

_OF_A_CALL = "write result = program.inference(x=…), then result[name]"
INDEXED = {
    "Program": f"{_OF_A_CALL}; or program.parameters[name]", "InferenceGraph": _OF_A_CALL,
    "TrainingGraph": "write result = program.training(x=…), then result[name]",
    "Net": "write net.outputs[name], net.inputs[name] or net.parameters[name]",
    "Trainer": "write trainer.program.parameters[name]", "Stream": "write result = stream.step(x=…), then result[name]",
    "StreamPool": 'write pool.step({handle: {"x": …}})[handle], or pool.state(handle)',
    "Serving": "write pool.submit(handle, x=…).result()",
    "Cell": "write outputs, state = rg.dynamic_rnn(cell, x), and rg.MultiRNNCell(cells) for several",
    "MemoryUsage": "write memory.arena, .panels, .parameters, .feeds, .results or .total",
}  # fmt: skip
"""Remedies for indexing an object or iterating over it, by class name."""


_ENTRY = dict.__getitem__
Fields = TypeVar("Fields", bound=type)


class Telling:
    """Base of classes whose missing attributes raise an error with the replacement."""

    __slots__ = ()
    _instead: Mapping[str, str] = {}
    _program = ""
    """Expression for the program that ``_instead`` refers to."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kind = type(self)
            if name.startswith("_") or hasattr(kind, name):  # a property that raised: raise its own error
                return object.__getattribute__(self, name)
            instead = self._instead.get(name)
            hint = f"; {instead}" if instead else did_you_mean(name, [item for item in dir(self) if item[0] != "_"])
            if instead and self._program and "program" in instead and self._program not in instead:
                hint = f"{hint}; program is {self._program}"
            if isinstance(self, Mapping) and self and (name in self or not hint):
                entry = name if name in self else next(iter(self))
                hint = f"; it is a mapping: write {kind.__name__.lower()}[{entry!r}]"
            raise NotOfferedError(f"{kind.__name__} has no attribute {shown(name)[1:-1]}{hint}")


class Unoperated(Telling):
    """Base of classes whose missing operators raise an error with the replacement."""

    __slots__ = ()

    def __format__(self, form: str) -> str:
        if form:
            raise DtypeError(f"{_VALUES}, to be written as {form!r}")
        return str(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Number):
            raise DtypeError("a Tensor is == to itself only, as a key of mappings; write rg.equal(x, y), rg.not_equal")
        return self is other

    __hash__ = object.__hash__


def _refusal(instead: str) -> Callable[..., Never]:
    def refuse(*_: Any, **__: Any) -> Never:
        raise DtypeError(instead)

    return refuse


for _operator, _instead in OPERATORS.items():
    setattr(Unoperated, f"__{_operator}__", _refusal(_instead))


class Named(Telling, dict[str, Any]):
    """Dict whose errors list its names, also for unhashable keys such as slices and lists.

    Attributes:
        _title: The dict's name in errors.
    """

    __slots__ = ()
    _title = "the mapping"

    def __missing__(self, name: Any) -> Any:
        names = [*map(str, self)]
        hint = did_you_mean(name, names) or f"; it has {', '.join(names) or 'none'}"
        raise NameLookupError(f"{self._title} has no {shown(name)}{hint}")

    if not TYPE_CHECKING:

        def __getitem__(self, name: Any) -> Any:
            try:
                return _ENTRY(self, name)
            except TypeError:
                return self.__missing__(name)


def telling(kind: Fields) -> Fields:
    """Decorate a namedtuple class so that errors for missing fields list its fields."""
    target: Any = kind
    target.__getattr__, target.__getitem__ = _absent_field, _entry_of
    return kind


def _absent_field(nest: Any, name: str) -> Never:
    if name.startswith("_"):
        object.__getattribute__(nest, name)  # which raises
    names = type(nest)._fields
    hint = did_you_mean(name, names) or f"; it has {', '.join(names)}"
    raise NotOfferedError(f"{type(nest).__name__} has no attribute {shown(name)[1:-1]}{hint}")


def _entry_of(nest: Any, key: Any) -> Any:
    """Return an entry by position. For a string key, raise an error that names the attribute."""
    try:
        return tuple.__getitem__(nest, key)
    except TypeError:
        names = type(nest)._fields
        is_field = isinstance(key, str) and key in names
        hint = f"write .{key}" if is_field else f"it has {', '.join(f'.{name}' for name in names)}"
        raise NameLookupError(f"{type(nest).__name__} has no entry {shown(key)}; {hint}") from None


def _of_class(instance: object, table: Mapping[str, str]) -> str:
    """Look up an object's class, or its nearest base class, in a table by class name."""
    return next(table[kind.__name__] for kind in type(instance).__mro__ if kind.__name__ in table)


class Unindexed(Telling):
    """Base of classes whose objects cannot be indexed."""

    __slots__ = ()
    _instead = OF_NETS

    if not TYPE_CHECKING:

        def __getitem__(self, key: Any) -> Never:
            raise CallError(f"{type(self).__name__} has no entries, such as {shown(key)}; {_of_class(self, INDEXED)}")


class Uncallable:
    """Mixin of classes whose objects cannot be called."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __call__(self, *_: Any, **__: Any) -> Never:
            raise CallError(f"{type(self).__name__} can't be called; {_of_class(self, CALLED)}")


class Uncalled(Uncallable, Unindexed):
    """Base of classes whose objects can be neither indexed nor called."""

    __slots__ = ()
