"""What objects that users hold say of attributes and calls that they don't have: other frameworks' words lead on.

A class takes it by standing on ``Telling``, or on ``Uncalled``. Type checkers see neither, and find what is wrong
before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

from .errors import CallError, NotOfferedError, did_you_mean

_GRADIENTS = "program.training.gradients(x=…) gives (loss, gradients)"
_FIT = "rg.Trainer(program, rg.Adam(1e-3)) has step and fit"
_MODES = "leave it out; program.inference runs without dropout, program.training with it"
_CPU = "leave it out; it runs on the CPU, and program.threads says on how many cores"
_RUN = "write program.inference(x=…)"
_VALUES = "a Tensor has no numbers; rg.compile it, and program.inference(x=…) gives them, or session.run(tensor)"
_CAST = "write rg.cast(x, dtype)"
_WEIGHTS = "write dict(program.parameters), or program.parameters[name]"

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
}  # fmt: skip
"""By a name that is no attribute of a program, a graph of it, a trainer, a stream or a net: what to do."""

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
"""The same of a Tensor."""

CALLED = {
    "Program": "write program.inference(x=…), or program.training(x=…, y=…)",
    "Net": "write program = net.program(), then program.inference(x=…)",
    "Trainer": "write trainer.step(x=…, y=…)", "Stream": "write stream.step(x=…) or stream.process(x=…)",
    "StreamPool": 'write pool.step({handle: {"x": …}})',
}  # fmt: skip
"""What is written in place of a call, by the name of the class."""


class Telling:
    """A class whose objects tell what to write for an attribute that they don't have."""

    __slots__ = ()
    _instead = OF_NETS

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kind = type(self)
            if name.startswith("_") or hasattr(kind, name):  # a property that raises says so itself
                return object.__getattribute__(self, name)
            instead = self._instead.get(name)
            if isinstance(self, dict) and self:
                instead = f"it is a mapping: write result[{name if name in self else next(iter(self))!r}]"
            hint = f"; {instead}" if instead else did_you_mean(name, [item for item in dir(self) if item[0] != "_"])
            raise NotOfferedError(f"{kind.__name__} has no attribute {name}{hint}")


class Uncalled(Telling):
    """The same of a class whose objects can't be called."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __call__(self, *_: Any, **__: Any) -> Never:
            name = type(self).__name__
            raise CallError(f"{name} can't be called; {CALLED[name]}")
