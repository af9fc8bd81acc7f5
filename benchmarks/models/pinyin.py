"""g2pM: pronunciations of Chinese characters. A pickle of NumPy arrays; the package's NumPy code is the engine."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model, lines_of
from .published import definitions

UNITS = 32


class _Arrays(pickle.Unpickler):
    """Unpickler that accepts only NumPy arrays, since other pickled objects could execute code."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in (
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        ):
            raise pickle.UnpicklingError(f"the file has a {module_name}.{global_name}, which is not an array")
        module = "numpy._core.multiarray" if global_name == "_reconstruct" else module_name
        return super().find_class(module, global_name)


def declared(characters: int, classes: int) -> dict[str, rg.Tensor]:
    """Declare the net: scores of all pronunciations for character ids [batch, time], padded with zeros."""
    text = rg.placeholder("text", ("B", "T"), "int64")
    lengths = rg.reduce_sum(rg.cast(text > 0, "int64"), 1)
    embedded = rg.embedding(text, characters, 64, name="embedding")
    cells = [rg.BasicLSTMCell(UNITS, forget_bias=0.0) for _ in range(2)]
    outputs, _ = rg.bidirectional_dynamic_rnn(*cells, embedded, sequence_length=lengths, scope="rnn")
    hidden = rg.relu(rg.dense(rg.concat(outputs, -1), 32, name="hidden"))
    return {"scores": rg.dense(hidden, classes, name="scores")}


def parameters(arrays: Arrays) -> dict[str, Any]:
    """Return the file's arrays by the names of rnngraph's parameters."""
    loaded = {"embedding/table": arrays["embedding.weight"]}
    for side, suffix in (("fw", ""), ("bw", "_reverse")):
        layer = {name: array for name, array in arrays.items() if name.endswith(f"l0{suffix}") and "lstm" in name}
        own = rg.weights.from_torch(rg.BasicLSTMCell(UNITS, forget_bias=0.0), layer)
        loaded |= {f"rnn/{side}/basic_lstm_cell/{name}": array for name, array in own.items()}
    for name, number in (("hidden", 0), ("scores", 2)):
        loaded[f"{name}/kernel"] = arrays[f"logit_layer.{number}.weight"].T
        loaded[f"{name}/bias"] = arrays[f"logit_layer.{number}.bias"]
    return loaded


def nets() -> list[Model]:
    files = fetched("g2pm")
    arrays = _Arrays(files["np_ckpt.pkl"].open("rb")).load()
    characters, classes = len(arrays["embedding.weight"]), len(arrays["logit_layer.2.bias"])
    program = rg.compile(declared(characters, classes))
    program.parameters.load(parameters(arrays))
    engine, draw = _engine(files["g2pM.py"], arrays), np.random.default_rng(0)

    def drawn(*lengths: int) -> Arrays:
        text = draw.integers(1, characters, (len(lengths), max(lengths)))
        return {"text": np.where(np.arange(max(lengths)) < np.array(lengths)[:, None], text, 0)}

    package, one = PACKAGES["g2pm"], drawn(30)
    return [
        Model(
            name="g2pM",
            form="NumPy arrays",
            origin=f"{package.requirement}, {package.licence}",
            by="its own NumPy",
            lines=lines_of(declared) + lines_of(parameters),
            program=program,
            feeds=[drawn(1), drawn(12, 5, 9), drawn(17, 17)],
            engine=engine,
            tolerance=1e-5,
            timed={"a sentence of 30": (lambda: program.inference(one), lambda: engine(one))},
        )
    ]


def _engine(path: Path, arrays: Arrays) -> Any:
    kind = definitions(path, "G2pM", np=np)["G2pM"]
    net = object.__new__(kind)  # the constructor reads files of the package
    net.load_variable(arrays)

    def run(feeds: Arrays) -> Arrays:
        """Run the net as the package's ``predict`` does, for all characters."""
        text = feeds["text"]
        lengths = np.sum(np.sign(text), axis=1)
        sides = []
        for cell, ids in ((net.fw_lstm_cell, text), (net.bw_lstm_cell, net.reverse_sequence(text, lengths))):
            states, hidden = None, []
            for x in net.get_embedding(ids.astype(np.int64)).transpose(1, 0, 2):
                states = cell(x, states)
                hidden.append(states[0])
            sides.append(np.stack(hidden, 1))
        inside = np.arange(text.shape[1])[None, :, None] < lengths[:, None, None]
        both = np.concatenate([sides[0], net.reverse_sequence(sides[1], lengths)], 2)
        return {"scores": net.fc_layer(np.where(inside, both, 0))}

    return run
