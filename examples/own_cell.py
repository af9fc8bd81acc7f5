"""A cell that no library has: its equations, its compiled stages, and its training.

    python examples/own_cell.py
    rnngraph show examples/own_cell.py --stage loops

Each unit of the `TurningCell` is a point z = a + ib in the unit disc that rotates and decays. The input and the state
determine the angle and the rate at every step. With s = tan(θ/2) the rotation by θ needs no sine or cosine (Cayley's
form):

    s  = tanh(x·W_s + a·U_s + b_s)                         tan(θ/2): up to 90° a step in both directions
    k  = σ(x·W_k + a·U_k + b_k)                            the share that is kept; b_k starts at 3
    d  = tanh(x·W_d + a·U_d + b_d)                         the new value, on the real axis
    z' = k · z · (1 + is)/(1 − is) + (1 − k) · d           the output is a' = Re z'

The rotation preserves |z|, and the rest is an average with a point of the disc, so |z'| ≤ 1 for any weights. The
compiler knows nothing of this; it sees three pairs of matrix products and some arithmetic.

The task: a needle starts at angle zero, each input is its rotation, of at most a radian, and the net's outputs are the
cosines of its angle. A GRU and an LSTM with as many units are trained on the same examples.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

import rnngraph as rg

FEATURES, UNITS = 2, 64  # a step's rotation, and 1 at the first step
BATCH, STEPS = 32, 50
UPDATES, LEARNING_RATE, CLIP_NORM = 600, 1e-2, 1.0


class TurningCell(rg.Cell):
    """Units that rotate and decay in the complex plane. Input and state determine the angle and the rate."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> dict[str, int]:
        """Return what one row carries: the real and the imaginary part of every unit."""
        return {"a": self.num_units, "b": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, dict[str, rg.Tensor]]:
        """Compute one step from x [batch, features]; return the output [batch, units] and the new state."""
        n, a, b = self.num_units, state["a"], state["b"]

        def affine(name: str, bias: float = 0.0) -> rg.Tensor:
            """Return x·W + a·U + b with parameters of its own; b starts at `bias`."""
            from_input = x @ p.kernel(f"w_{name}", (x.width, n))
            return from_input + a @ p.kernel(f"u_{name}", (n, n)) + p.bias(f"b_{name}", (n,), bias)

        s = rg.tanh(affine("s"))
        k = rg.sigmoid(affine("k", bias=3.0))
        d = rg.tanh(affine("d"))
        fade = k / (1 + s * s)
        cosine, sine = fade * (1 - s * s), fade * (2 * s)
        new_a = cosine * a - sine * b + (1 - k) * d
        new_b = sine * a + cosine * b
        return new_a, {"a": new_a, "b": new_b}


def declare(cell: rg.Cell) -> rg.Program:
    """Return the program of a net: the cell reads rotations, and a dense layer computes the cosine after each."""
    x = rg.placeholder("x", shape=(None, None, FEATURES))
    cosines = rg.placeholder("cosines", shape=(None, None, 1))
    outputs, state = rg.dynamic_rnn(cell, x)
    predicted = rg.dense(outputs, 1)
    loss = rg.mean_squared_error(labels=cosines, predictions=predicted)
    return rg.compile({"outputs": outputs, "state": state, "predicted": predicted}, loss=loss, seed=0)


program = declare(TurningCell(UNITS))


def turns(generator: np.random.Generator, rows: int, steps: int) -> dict[str, NDArray[np.float32]]:
    """Return the feeds of `rows` sequences: a needle's rotations, and the cosines of its angle after each."""
    x = np.zeros((rows, steps, FEATURES), np.float32)
    x[:, 1:, 0] = generator.uniform(-1.0, 1.0, (rows, steps - 1))
    x[:, 0, 1] = 1.0
    return {"x": x, "cosines": np.cos(x[:, :, :1].cumsum(axis=1, dtype=np.float64)).astype(np.float32)}


def train(cell: str, trained: rg.Program, console: Console) -> float:
    """Train on new examples for each update, which are the same for all cells. Return the seconds."""
    generator, began = np.random.default_rng(0), time.perf_counter()
    optimizer = rg.Adam(rg.CosineDecay(LEARNING_RATE, UPDATES))
    trainer = rg.Trainer(trained, optimizer=optimizer, clip_norm=CLIP_NORM)
    for _ in track(range(UPDATES), cell, console=console, transient=True, disable=not console.is_terminal):
        trainer.step(turns(generator, BATCH, STEPS))
    return time.perf_counter() - began


def late_error(trained: rg.Program, steps: int) -> float:
    """Return the mean squared error over the last ten steps of new sequences."""
    feeds = turns(np.random.default_rng(1), 200, steps)
    predicted = trained.inference(x=feeds["x"])["predicted"]
    return float(((predicted - feeds["cosines"])[:, -10:] ** 2).mean())


def show_training(console: Console) -> None:
    """Train the cell and two others with as many units, and print their errors."""
    console.rule(f"Training: {UPDATES} updates on {BATCH} sequences of {STEPS} steps", align="left")
    table = Table(f"{UNITS} units", "parameters", "error", f"at {4 * STEPS} steps", "seconds")
    programs = {
        "TurningCell": program,
        "GRU": declare(rg.GRUCell(UNITS)),
        "LSTM": declare(rg.BasicLSTMCell(UNITS)),
    }
    for name, trained in programs.items():
        seconds = train(name, trained, console)
        size = sum(array.size for array in trained.parameters.values())
        errors = (f"{late_error(trained, steps):.4f}" for steps in (STEPS, 4 * STEPS))
        table.add_row(name, f"{size:,}", *errors, f"{seconds:.1f}")
    console.print(table)
    console.print("mean square error of the last ten cosines; a guess of zero has 0.5; compiling counts as time")


def reference(
    parameters: Mapping[str, NDArray[np.float32]], x: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Run the equations in float64 with complex numbers; return outputs [batch, time, units] and the last z."""
    values = {name.rsplit("/", 1)[-1]: array.astype(np.float64) for name, array in parameters.items()}

    def affine(name: str) -> NDArray[np.float64]:
        return x_t @ values[f"w_{name}"] + z.real @ values[f"u_{name}"] + values[f"b_{name}"]

    z = np.zeros((x.shape[0], UNITS), np.complex128)
    emitted = np.zeros((*x.shape[:2], UNITS))
    for t in range(x.shape[1]):
        x_t = x[:, t].astype(np.float64)
        s, k, d = np.tanh(affine("s")), 1 / (1 + np.exp(-affine("k"))), np.tanh(affine("d"))
        z = k * z * (1 + 1j * s) / (1 - 1j * s) + (1 - k) * d
        emitted[:, t] = z.real
    return emitted, z


def excerpt(text: str, wanted: str, size: int = 24) -> list[str]:
    """Return the `size` consecutive lines that contain the most matches of the pattern `wanted`."""
    lines = text.splitlines()
    hits = [len(re.findall(wanted, line)) for line in lines]
    starts = range(max(1, len(lines) - size + 1))
    best = max(starts, key=lambda start: (sum(hits[start : start + size]), -start))
    return lines[best : best + size]


def show(console: Console, stage: str, wanted: str | None = None) -> None:
    """Print one stage of the inference graph: all of it, or the part with the most matches of the pattern `wanted`."""
    text = program.inference.show(stage)
    total = len(text.splitlines())
    lines = text.splitlines() if wanted is None else excerpt(text, wanted)
    console.rule(f"{stage}: {len(lines)} of {total} lines", align="left")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def main() -> None:
    """Print the cell's stages, train it, run it, and compare it with the equations in float64."""
    console = Console(highlight=False)
    show(console, "declared")
    show(console, "graph")
    show(console, "loops", wanted=r"fma|div|max|min")
    show(console, "llvm", wanted=r"\b(fma|fmul|fadd|fdiv|fsub)\b")
    show(console, "asm", wanted=r"\b(vf\w*(add|sub)\d*\w*|vmul\w*|vdiv\w*|fmla|fmul|fdiv)\b")

    show_training(console)

    console.rule("Run", align="left")
    batch = turns(np.random.default_rng(2), BATCH, STEPS)["x"]
    result = program.inference(x=batch)
    expected, z = reference(program.parameters, batch)
    native = result["state"].a + 1j * result["state"].b
    console.print(f"outputs against NumPy, float64: largest error {np.abs(result['outputs'] - expected).max():.1e}")
    console.print(f"final state against NumPy, float64: largest error {np.abs(native - z).max():.1e}")
    console.print(f"largest |z|: {np.abs(native).max():.4f}, never above 1")

    stream = program.inference.stream(batch=BATCH)
    steps = np.stack([stream.step(x=batch[:, t])["outputs"] for t in range(STEPS)], axis=1)
    same = "the same bits" if steps.tobytes() == result["outputs"].tobytes() else "different bits"
    console.print(f"step by step through a stream: {same}")

    seconds = [time_call(lambda: program.inference(x=batch)) for _ in range(15)]
    loop_seconds = time_call(lambda: reference(program.parameters, batch))
    native_seconds = float(np.median(seconds))
    native_rate, loop_rate = BATCH * STEPS / native_seconds, BATCH * STEPS / loop_seconds
    console.print(f"steps a second: {native_rate:,.0f}; the NumPy loop: {loop_rate:,.0f}")


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
