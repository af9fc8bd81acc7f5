"""Cell whose state is a matrix: a memory of key and value pairs, written and read by the delta rule.

Each step carries a matrix S [keys, values]. It reads the value at its key and corrects it towards its new value (Widrow
and Hoff 1960; as a recurrent layer, Schlag, Irie and Schmidhuber 2021, equations 23 to 25):

    q, k, v, b = projections of x;  q and k of length 1;  b = sigmoid(b)
    S' = S + b k (v - k S);  output = q S'

``rg.memory((keys, values))`` declares the matrix. In all other respects it is a cell like any other: it can be wrapped
in dropout, stacked, streamed and trained.

The task: the cell reads a few pairs of symbols, then the first symbols in another order, and must answer each with the
second symbol of its pair. Run: python examples/matrix_state.py [--quick]
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import rnngraph as rg

SYMBOLS, PAIRS = 12, 5


class DeltaRuleCell(rg.Cell):
    """Cell with one matrix [keys, values] for each row of the batch."""

    def __init__(self, keys: int, values: int) -> None:
        self.keys, self.values = keys, values

    def state(self) -> dict[str, Any]:
        return {"S": rg.memory((self.keys, self.values))}

    @property
    def output_size(self) -> int:
        return self.values

    def step(self, p: rg.Scope, x: rg.Tensor, state: dict[str, rg.Tensor]) -> tuple[rg.Tensor, dict[str, rg.Tensor]]:
        keys, values = self.keys, self.values
        sizes = [keys, keys, values, 1]
        q, k, v, b = rg.split(x @ p.kernel("kernel", (x.width, sum(sizes))) + p.bias("bias", (sum(sizes),)), sizes)
        q, k = (rg.expand_dims(self.unit(vector), 2) for vector in (q, k))  # [batch, keys, 1]
        S = state["S"]
        old_value = rg.reduce_sum(k * S, 1)
        S = S + k * rg.expand_dims(rg.sigmoid(b) * (v - old_value), 1)
        return rg.reduce_sum(q * S, 1), {"S": S}

    @staticmethod
    def unit(vector: rg.Tensor) -> rg.Tensor:
        return vector / rg.sqrt(rg.reduce_sum(rg.square(vector), 1, keepdims=True) + 1e-6)


def examples(count: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the feeds x [count, 2 PAIRS, 2 SYMBOLS], y and weights, both [count, 2 PAIRS].

    A row of x has PAIRS pairs, and then PAIRS first symbols alone. The weights are 1 for the latter, and 0 for pairs.
    """
    x, y = np.zeros((count, 2 * PAIRS, 2 * SYMBOLS), np.float32), np.zeros((count, 2 * PAIRS), np.int64)
    for row in range(count):
        first = generator.permutation(SYMBOLS)[:PAIRS]
        second = generator.integers(0, SYMBOLS, PAIRS)
        asked = generator.permutation(PAIRS)
        x[row, np.arange(PAIRS), first] = 1.0
        x[row, np.arange(PAIRS), SYMBOLS + second] = 1.0
        x[row, PAIRS + np.arange(PAIRS), first[asked]] = 1.0
        y[row, PAIRS:] = second[asked]
    return {"x": x, "y": y, "weights": np.repeat([[0.0, 1.0]], PAIRS, axis=1) * np.ones((count, 1))}


def compiled(cell: rg.Cell) -> rg.Program:
    x = rg.placeholder("x", (None, None, 2 * SYMBOLS))
    y = rg.placeholder("y", (None, None), "int64")
    outputs, _ = rg.dynamic_rnn(cell, x)
    logits = rg.dense(outputs, SYMBOLS)
    weights = rg.placeholder("weights", (None, None))
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits, weights=weights)
    return rg.compile({"logits": logits}, loss=loss, seed=0)


def accuracy(program: rg.Program, feeds: dict[str, np.ndarray]) -> float:
    """Return the share of correct answers of a stream, which reads step by step."""
    x, y = feeds["x"], feeds["y"]
    stream = program.inference.stream(batch=len(x))
    steps = [stream.step(x=x[:, t])["logits"] for t in range(x.shape[1])]
    logits = np.stack(steps, axis=1)
    # equal to a call on the whole sequence, bit for bit
    assert np.array_equal(logits, program.inference(x=x)["logits"])
    return float((logits.argmax(-1) == y)[:, PAIRS:].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few updates only")
    updates = 40 if parser.parse_args().quick else 400
    test = examples(500, np.random.default_rng(1))
    cells = {"delta rule, 16 x 16": DeltaRuleCell(16, 16), "GRU of 64 units": rg.GRUCell(64)}
    for name, cell in cells.items():
        program, generator = compiled(cell), np.random.default_rng(0)
        trainer = rg.Trainer(program, rg.Adam(1e-2), clip_norm=1.0)
        for _ in range(updates):
            loss = trainer.step(examples(32, generator))
        numbers = sum(array.size for array in program.parameters.values())
        print(f"{name}: {numbers} parameters, loss {loss:.3f}, {accuracy(program, test):.1%} right")


if __name__ == "__main__":
    main()
