"""Draws the weights of a workload, which all contenders share, and converts them to rnngraph's parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from workloads import Row

Arrays = dict[str, np.ndarray]

NORMS = ("input", "transform", "forget", "output", "state")
"""Values that a layer-norm LSTM normalises: its gates i, j, f, o and its memory."""


def drawn(row: Row) -> list[Arrays]:
    """Return weights by layer and direction: W [width, gates × units], U [hidden, gates × units], b, and more.

    Gates are in rnngraph's order, and biases have small letters. Some cells have further arrays: c, the bias inside a
    GRU's reset; P [3, units], the peepholes i, f, o; R [units, projection], the projection; V and v, a kernel and bias
    applied to the input first; G and S [5, units], gains and shifts of ``NORMS``; A [units, 3 × units] and K [units,
    units], the weights of attention.
    """
    generator, limit = np.random.default_rng(1), row.units**-0.5
    cells = []
    for width in row.widths():
        for _ in range(row.directions):
            cell = {
                name: generator.uniform(-limit, limit, shape).astype(np.float32)
                for name, shape in _shapes(row, width).items()
            }
            if "G" in cell:
                cell["G"] += 1.0
            cells.append(cell)
    return cells


def count(row: Row) -> int:
    """Return the number of a net's parameters."""
    return sum(array.size for cell in drawn(row) for array in cell.values())


def _shapes(row: Row, width: int) -> dict[str, tuple[int, ...]]:
    n = row.units

    def gates(of_input: int, of_state: int, biases: int) -> dict[str, tuple[int, ...]]:
        return {"W": (width, of_input * n), "U": (row.hidden, of_state * n), "b": (biases * n,)}

    match row.cell:
        case "RNN":
            return gates(1, 1, 1)
        case "LSTM":
            return gates(4, 4, 4) | ({"R": (n, row.projection)} if row.projection else {})
        case "peephole" | "own peephole":
            return gates(4, 4, 4) | {"P": (3, n)}
        case "GRU":
            return gates(3, 3, 3) | {"c": (n,)}
        case "GRU before":
            return gates(3, 3, 3)
        case "LayerNormBasicLSTM":
            return {"W": (width, 4 * n), "U": (n, 4 * n), "G": (5, n), "S": (5, n)}
        case "CoupledInputForgetGateLSTM":
            return gates(3, 3, 3)
        case "NAS":
            return {"W": (width, 8 * n), "U": (n, 8 * n)}
        case "UGRNN":
            return gates(2, 2, 2)
        case "IntersectionRNN":
            return {"V": (width, n), "v": (n,), "W": (n, 4 * n), "U": (n, 4 * n), "b": (4 * n,)}
        case "IndRNN":
            return {"W": (width, n), "U": (1, n), "b": (n,)}
        case "SRU":
            return {"W": (width, 4 * n), "b": (2 * n,)}
        case "MinimalRNN":
            return {"V": (width, n), "W": (n, n), "U": (n, n), "b": (n,)}
        case "CFN":
            return gates(3, 2, 2)
        case "attention":
            return gates(3, 3, 3) | {"A": (n, 3 * n), "K": (n, n)}
        case "decode":
            return {"W": (n, 3 * n), "U": (n, 3 * n), "b": (3 * n,)}
    raise ValueError(f"there is no cell {row.cell}")


def as_parameters(row: Row, names: Iterable[str]) -> Arrays:
    """Return the weights as the parameters of rnngraph's program, which have the names ``names``."""
    cells = [parameters(row, cell) for cell in drawn(row)]
    by_name = {}
    for name in names:
        if name.startswith("memory_layer/"):
            by_name[name] = drawn(row)[0]["K"]
            continue
        number = 0
        if row.bidirectional:  # layer_1/bw/lstm_cell/kernel
            layer, side, _, rest = name.split("/", 3)
            number = 2 * int(layer.removeprefix("layer_")) + (side == "bw")
        elif row.cell == "attention":  # rnn/attention_wrapper/gru_cell/gates/kernel
            rest = name.split("/", 3)[3]
        elif row.cell == "decode":  # decoder/gru_cell/gates/kernel
            rest = name.split("/", 2)[2]
        else:  # rnn/multi_rnn_cell/cell_1/lstm_cell/kernel
            _, _, layer, _, rest = name.split("/", 4)
            number = int(layer.removeprefix("cell_"))
        by_name[name] = cells[number][rest]
    return by_name


def parameters(row: Row, w: Mapping[str, np.ndarray]) -> Arrays:
    """Return a cell's parameters by name under its scope."""
    match row.cell:
        case "LSTM" if row.projection:
            return {"kernel": _above(w["W"], w["U"]), "bias": w["b"], "projection/kernel": w["R"]}
        case "RNN" | "LSTM" | "UGRNN" | "peephole":
            peepholes = {f"w_{gate}_diag": w["P"][k] for k, gate in enumerate("ifo")} if "P" in w else {}
            return {"kernel": _above(w["W"], w["U"]), "bias": w["b"], **peepholes}
        case "own peephole":
            named = {f"p_{gate}": w["P"][k] for k, gate in enumerate("ifo")}
            for kind, name in (("w", "W"), ("u", "U"), ("b", "b")):
                pieces = np.split(w[name], 4, axis=-1)
                named |= {f"{kind}_{gate}": piece for gate, piece in zip("ijfo", pieces, strict=True)}
            return named
        case "GRU" | "GRU before" | "attention" | "decode":
            return _gru_parameters(row, w)
        case "LayerNormBasicLSTM":
            norms: Arrays = {}
            for k, name in enumerate(NORMS):
                norms |= {f"{name}/gamma": w["G"][k], f"{name}/beta": w["S"][k]}
            return {"kernel": _above(w["W"], w["U"]), **norms}
        case "CoupledInputForgetGateLSTM":
            return {"W_0": _above(w["W"], w["U"]), "B": w["b"]}
        case "NAS":
            return {"kernel": w["W"], "recurrent_kernel": w["U"]}
        case "IntersectionRNN":
            projection = {"in_projection/kernel": w["V"], "in_projection/bias": w["v"]}
            return {**projection, "kernel": _above(w["W"], w["U"]), "bias": w["b"]}
        case "IndRNN":
            return {"kernel_w": w["W"], "kernel_u": w["U"], "bias": w["b"]}
        case "SRU":
            return {"kernel": w["W"], "bias": w["b"]}
        case "MinimalRNN":
            return {"kernel": _above(w["V"], w["W"], w["U"]), "bias": w["b"]}
        case "CFN":
            return {"kernel": w["W"], "recurrent_kernel": w["U"], "bias": w["b"]}
    raise ValueError(f"there is no cell {row.cell}")


def _gru_parameters(row: Row, w: Mapping[str, np.ndarray]) -> Arrays:
    gates = slice(2 * row.units)
    candidate = slice(2 * row.units, None)
    sides: list[Any] = [w["W"], *([w["A"]] if "A" in w else []), w["U"]]
    named = {"gates/kernel": _above(*(side[:, gates] for side in sides)), "gates/bias": w["b"][gates]}
    if row.cell != "GRU":
        kernel = _above(*(side[:, candidate] for side in sides))
        return {**named, "candidate/kernel": kernel, "candidate/bias": w["b"][candidate]}
    for side, kernel, bias in (
        ("input", w["W"][:, candidate], w["b"][candidate]),
        ("hidden", w["U"][:, candidate], w["c"]),
    ):
        named |= {f"candidate/{side}_projection/kernel": kernel, f"candidate/{side}_projection/bias": bias}
    return named


def _above(*pieces: np.ndarray) -> np.ndarray:
    return np.concatenate(pieces)
