"""Random declarations, as the source text that a user would write, so that failures can be pasted and run.

``declare(seed)`` draws a declaration, a list of lines. ``shrunk`` removes lines that a failure does not need.
"""

from __future__ import annotations

import linecache
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import own_cells

import rnngraph as rg

SIZES = (1, 3, 7, 17, 25, 33)
ACTIVATIONS = [
    "tanh",
    "relu",
    "sigmoid",
    "identity",
    "hard_sigmoid",
    "softsign",
    "elu",
    "selu",
    "gelu",
    "softplus",
    "swish",
    "leaky_relu",
    "relu6",
    "sin",
]
UNARY = (
    "rg.tanh({0})",
    "rg.sigmoid({0})",
    "rg.relu({0})",
    "rg.exp(rg.clip({0}, -3, 2))",
    "rg.abs({0})",
    "rg.square(rg.tanh({0}))",
    "rg.sin({0})",
    "rg.cos({0})",
    "rg.softplus({0})",
    "rg.erf({0})",
    "rg.gelu({0})",
    "rg.atan({0} * 2)",
    "rg.sqrt(rg.abs({0}) + 0.25)",
    "rg.log(rg.abs({0}) + 0.5)",
    "rg.log1p(rg.abs({0}))",
    "rg.expm1(rg.clip({0}, -2, 2))",
    "rg.elu({0})",
    "rg.selu({0})",
    "rg.softsign({0})",
    "rg.hard_sigmoid({0})",
    "rg.leaky_relu({0}, 0.3)",
    "rg.relu6({0})",
    "rg.swish({0})",
    "-{0}",
    "1 - {0}",
    "{0} * 0.5 - 1",
    "rg.clip({0}, -0.5, 0.75)",
    "rg.where({0} > 0, {0}, {0} * 0.25)",
    "rg.tanh({0}) ** 3",
    "1 / (1 + rg.abs({0}))",
    "(rg.abs({0}) + 0.5) ** 0.5",
    "rg.identity({0})",
)
BINARY = (
    "{0} + {1}",
    "{0} - {1}",
    "{0} * {1}",
    "{0} / (rg.abs({1}) + 1)",
    "rg.maximum({0}, {1})",
    "rg.minimum({0}, {1})",
    "rg.power(rg.abs({0}) + 0.5, {1})",
    "rg.copysign({0}, {1} * 2)",
    "rg.where({0} < {1}, {0}, {1})",
    "{0} * 0.5 + {1} * 0.25",
    "{0} - {1} * {0}",
)

Axis = int | str  # fixed size, or a formula of B (rows) and T (steps)


@dataclass(frozen=True)
class Value:
    """Variable of the declaration.

    Attributes:
        kind: ``float``, ``int`` or ``bool``.
        row_wise: True if each row of the value depends on no other row.
        fed: True for feeds, whose comparisons have the same result in every precision.
    """

    name: str
    axes: tuple[Axis, ...]
    kind: str = "float"
    row_wise: bool = True
    fed: bool = False

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def width(self) -> Axis:
        return self.axes[-1]


@dataclass(frozen=True)
class Feed:
    """Feed of a placeholder: axes, dtype and, for integers, the largest value."""

    axes: tuple[Axis, ...]
    dtype: str
    high: Axis | None = None


@dataclass(frozen=True)
class Declaration:
    """Lines of a declaration, and the sizes, feeds and options to run it with."""

    seed: int
    lines: tuple[str, ...]
    feeds: dict[str, Feed]
    outputs: dict[str, Value]
    batch: int
    time: int
    dtype: str
    unroll: int | None = None
    streams: bool = True  # True if the drivers' time axis is T

    def size(self, axis: Axis, batch: int | None = None, time: int | None = None) -> int:
        if isinstance(axis, int):
            return axis
        names = {"B": batch or self.batch, "T": time or self.time}
        return int(eval(axis, {}, names))

    def text(self) -> str:
        head = [f"# seed {self.seed}: batch {self.batch}, time {self.time}, unroll {self.unroll}"]
        return "\n".join([*head, *self.lines])

    def run(self) -> dict[str, Any]:
        """Execute the lines, and return their variables, including ``outputs`` and ``loss``."""
        file = f"<declaration {self.seed}>"
        source = "\n".join(self.lines) + "\n"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        names: dict[str, Any] = {"rg": rg, "np": np, "own": own_cells, "outputs": {}, "loss": None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(source, file, "exec"), names)
        return names

    def compile(self, **options: Any) -> rg.Program:
        names = self.run()
        seed = self.seed % 1000
        program = rg.compile(names["outputs"], loss=names["loss"], seed=seed, unroll=self.unroll, **options)
        generator = np.random.default_rng(self.seed)
        for name, array in program.parameters.items():  # initial zeros would hide a missing bias
            program.parameters[name] = array + generator.normal(size=array.shape) * 0.1
        return program

    def arrays(self, batch: int | None = None, time: int | None = None) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(self.seed)
        arrays = {}
        for name, feed in self.feeds.items():
            shape = tuple(self.size(axis, batch, time) for axis in feed.axes)
            if name.startswith("keep"):
                array = np.asarray(generator.uniform(0.4, 1.0), np.float32)
            elif feed.high is not None:
                array = generator.integers(0, self.size(feed.high, batch, time) + 1, shape)
            elif feed.dtype == "bool":
                array = generator.random(shape) < 0.5
            else:
                array = generator.normal(size=shape)
            arrays[name] = np.asarray(array, feed.dtype)
        return arrays


class Generator:
    """Generator of one declaration, line by line. ``draw`` is a ``random.Random``, or hypothesis's equivalent."""

    def __init__(self, draw: random.Random, seed: int) -> None:
        self.draw, self.seed = draw, seed
        self.lines: list[str] = []
        self.values: list[Value] = []
        self.feeds: dict[str, Feed] = {}
        self.cells: list[str] = []
        self.keep_feeds: list[str] = []
        self.batch, self.time = draw.randint(1, 9), draw.randint(1, 9)
        self.dtype = draw.choice(["float32", "float32", "float32", "float64"])
        self.batch_text = draw.choice(["None", "None", '"batch"', str(self.batch)])
        self.time_text = draw.choice(["None", "None", '"time"', str(self.time)])
        self.streams = True
        self.states: list[tuple[str, str, Axis, bool]] = []  # (variable, its cell, rows, row_wise)
        self.rows: Axis = "B"  # batch axis of the current driver
        self.row_wise = True  # True if all inputs of the current driver are row-wise
        # Taps and decoders were added later. A separate generator preserves the draws of declarations without them.
        self.more = random.Random(f"more of {seed}")
        self.flattens = random.Random(f"flattened of {seed}")
        self.products = random.Random(f"products of {seed}")
        self.norms = random.Random(f"normalizations of {seed}")
        self.masks = random.Random(f"masks of {seed}")
        self.gates = random.Random(f"gates of {seed}")
        self.taps, self.decodes = self.more.random() < 0.3, self.more.random() < 0.25

    # Pieces --------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    def add(self, text: str, axes: tuple[Axis, ...], kind: str = "float", **facts: bool) -> Value:
        value = Value(f"v{len(self.lines)}", axes, kind, **facts)
        self.lines.append(f"{value.name} = {text}")
        self.values.append(value)
        return value

    def placeholder(self, axes: tuple[Axis, ...], kind: str = "float", high: Axis | None = None) -> Value:
        name = f"feed{len(self.feeds)}"
        dtype = {"float": self.dtype, "int": self.draw.choice(["int32", "int64"]), "bool": "bool"}[kind]
        self.feeds[name] = Feed(axes, dtype, high)
        sizes = {"B": self.batch_text, "T": self.time_text}
        shape = ", ".join(sizes.get(str(axis), str(axis)) for axis in axes)
        shape += "," if len(axes) == 1 else ""
        return self.add(f'rg.placeholder("{name}", ({shape}), "{dtype}")', axes, kind, fed=True)

    def some(self, wanted: Callable[[Value], bool]) -> Value | None:
        matching = [value for value in self.values if wanted(value)]
        if not matching:
            return None
        return self.draw.choice(matching[-6:] if self.chance(0.7) else matching)

    # Cells ---------------------------------------------------------------------------------------

    def keep_prob(self) -> str:
        if self.chance(0.15):
            name = f"keep{len(self.keep_feeds)}"
            if not self.keep_feeds or self.chance(0.3):
                self.keep_feeds.append(name)
                self.feeds[name] = Feed((), "float32")
                self.lines.append(f'{name} = rg.placeholder("{name}", ())')
            return self.keep_feeds[-1]
        return self.draw.choice(["0.5", "0.8", "0.35", "1.0", "0.9"])

    def cell(self, width: int, depth: int = 0) -> tuple[str, int]:
        """Add a cell for inputs of ``width``, and return its variable and output width."""
        roll, n = self.draw.random(), self.draw.choice(SIZES)
        activation = f', activation="{self.draw.choice(ACTIVATIONS)}"' if self.chance(0.4) else ""
        gates = self.gate()
        if self.chance(0.22):
            text, out = self.variant(n, activation, gates)
        elif roll < 0.14:
            text, out = f"rg.BasicRNNCell({n}{activation})", n
        elif roll < 0.26:
            bias = self.draw.choice(["", ", forget_bias=0.0", ", forget_bias=2.5", ", state_is_tuple=False"])
            text, out = f"rg.BasicLSTMCell({n}{bias}{activation}{gates})", n
        elif roll < 0.42:
            text, out = self.full_lstm(n, activation + gates)
        elif roll < 0.56:
            text, out = f"rg.GRUCell({n}{activation}{gates}, reset_after={self.chance(0.5)})", n
        elif roll < 0.72:
            own = self.draw.choice(own_cells.OWN_CELLS).__name__
            text, out = f"own.{own}({n})", 2 * n if own == "SwapCell" else n
        elif roll < 0.76:
            memory = self.some(
                lambda v: v.kind == "float" and v.rank == 2 and v.axes[0] == self.rows and isinstance(v.width, int)
            )
            memory = memory or self.some(
                lambda v: v.kind == "float" and v.rank == 2 and v.axes[0] == 1 and isinstance(v.width, int)
            )
            if memory is None and self.rows in ("B", "T"):
                memory = self.placeholder((self.rows, self.draw.choice(SIZES)))
            if memory is None:
                return self.cell(width, 3)
            self.row_wise = self.row_wise and memory.row_wise
            text, out = f"own.CaptureCell({n}, {memory.name})", n
        elif depth > 2:
            text, out = f"rg.GRUCell({n})", n
        elif roll < 0.84:
            text, out = self.stack(width, depth)
        elif roll < 0.94:
            inner, out = self.cell(width, depth + 1)
            text = self.dropout(inner)
        elif roll < 0.97:
            inner, out = self.cell(width, depth + 1)
            wrapper = self.draw.choice(["Residual", "Highway"])
            text = f"rg.{wrapper}Wrapper({inner})" if out == width else self.zoneout(inner)
        elif roll < 0.98:
            inner, _ = self.cell(width, depth + 1)
            text, out = f"own.MemoryCell({n}, {inner})", n
        elif roll < 0.99:
            inner, out = self.cell(width, depth + 1)
            n = self.draw.choice(SIZES)
            if self.chance(0.4) and self.rows == "B":
                text, out = self.attention(width, n, depth)
            elif self.chance(0.5):
                text, out = f"rg.OutputProjectionWrapper({inner}, {n}{activation})", n
            else:
                text = f"own.WeightDrop({inner}, {self.draw.choice(['0.5', '0.8'])})"
        else:
            gates = self.draw.choice(["", ", couple_carry_transform_gates=False"])
            text, out = f"rg.HighwayWrapper(rg.BasicRNNCell({width}){gates})", width
        if self.chance(0.05):
            text = f"rg.shared({text})"
        name = f"cell{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name, out

    def gate(self) -> str:
        """Return code of an argument with the activation of gates; ``""`` for none."""
        names = ["hard_sigmoid", "hard_sigmoid_keras3", "softsign", "sigmoid"]
        return f', recurrent_activation="{self.gates.choice(names)}"' if self.gates.random() < 0.2 else ""

    def full_lstm(self, n: int, activation: str) -> tuple[str, int]:
        options, out = "", n
        if self.chance(0.5):
            options += ", use_peepholes=True"
        if self.chance(0.4):
            options += f", cell_clip={self.draw.choice(['0.3', '1.5'])}"
        if self.chance(0.4):
            out = self.draw.choice(SIZES)
            options += f", num_proj={out}" + (", proj_clip=0.2" if self.chance(0.5) else "")
        if self.chance(0.3):
            options += ", state_is_tuple=False"
        return f"rg.LSTMCell({n}{options}{activation})", out

    def attention(self, width: int, n: int, depth: int) -> tuple[str, int]:
        """Return (code of an attention wrapper over a memory of five entries for each row, output width)."""
        memory = self.placeholder(("B", 5, n))
        lengths = self.placeholder(("B",), "int", 5).name if self.chance(0.5) else "None"
        inner, out = self.cell(width + n, depth + 1)
        options, size = "", n
        if self.chance(0.4):
            options, size = ", output_attention=False", out
        extra = self.draw.choice(["", ", scale=True"])
        score = f"rg.LuongAttention({out}, {memory.name}, {lengths}{extra})"
        if self.chance(0.5):
            extra = self.draw.choice(["", ", normalize=True"])
            score = f"rg.BahdanauAttention({self.draw.choice(SIZES)}, {memory.name}, {lengths}{extra})"
        return f"rg.AttentionWrapper({inner}, {score}{options})", size

    def variant(self, n: int, activation: str, gates: str) -> tuple[str, int]:
        """Return (code of a cell of ``tf.contrib.rnn``, output width)."""
        name = self.draw.choice(
            [
                "LayerNormBasicLSTM",
                "CoupledInputForgetGateLSTM",
                "NAS",
                "UGRNN",
                "IntersectionRNN",
                "IndRNN",
                "SRU",
                "MinimalRNN",
                "CFN",
            ]
        )
        options, out = "" if name in ("NAS", "IntersectionRNN") else activation, n
        options += "" if name in ("NAS", "IndRNN") else gates
        if name == "IntersectionRNN":
            options = f", num_in_proj={n}"
        if name == "LayerNormBasicLSTM" and self.chance(0.5):
            options += self.draw.choice([", dropout_keep_prob=0.7", ", layer_norm=False", ", norm_shift=0.3"])
        if name in ("NAS", "CoupledInputForgetGateLSTM") and self.chance(0.5):
            out = self.draw.choice(SIZES)
            options += f", num_proj={out}"
        if name == "CoupledInputForgetGateLSTM":
            options += self.draw.choice(["", ", use_peepholes=True", ", state_is_tuple=False", ", layer_norm=True"])
        if name == "NAS" and self.chance(0.5):
            options += ", use_bias=True"
        return f"rg.{name}Cell({n}{options})", out

    def dropout(self, inner: str) -> str:
        kinds = self.draw.sample(["input_keep_prob", "output_keep_prob", "state_keep_prob"], self.draw.randint(1, 3))
        options = [f"{kind}={self.keep_prob()}" for kind in kinds]
        if self.chance(0.35):
            options.append("variational_recurrent=True")
        if self.chance(0.2):
            options.append(f"seed={self.draw.randint(0, 9)}")
        return f"rg.DropoutWrapper({inner}, {', '.join(options)})"

    def zoneout(self, inner: str) -> str:
        seed = f", seed={self.draw.randint(0, 9)}" if self.chance(0.2) else ""
        return f"rg.ZoneoutWrapper({inner}, state_keep_prob={self.keep_prob()}{seed})"

    def stack(self, width: int, depth: int) -> tuple[str, int]:
        if self.chance(0.2):  # one object at every position; widths must agree only if it is shared
            inner, out = self.cell(width, 3)
            shared_apart = "rg.shared" in self.lines[-1] and out != width
            count = 1 if shared_apart else self.draw.randint(2, 3)
            return f"rg.MultiRNNCell([{inner}] * {count})", out
        if self.chance(0.2):  # all cells have one state array
            cells, out = [], width
            for _ in range(self.draw.randint(1, 3)):
                out = self.draw.choice(SIZES)
                cells.append(
                    self.draw.choice(
                        [
                            f"rg.GRUCell({out})",
                            f"rg.BasicLSTMCell({out}, state_is_tuple=False)",
                            f"rg.BasicRNNCell({out})",
                            f"rg.DropoutWrapper(rg.BasicLSTMCell({out}, state_is_tuple=False), state_keep_prob=0.6)",
                        ]
                    )
                )
            return f"rg.MultiRNNCell([{', '.join(cells)}], state_is_tuple=False)", out
        cells, out = [], width
        for _ in range(self.draw.randint(1, 3)):
            inner, out = self.cell(out, depth + 1)
            cells.append(inner)
        return f"rg.MultiRNNCell([{', '.join(cells)}])", out

    # Drivers -------------------------------------------------------------------------------------

    def driver(self) -> None:
        sequence = self.some(
            lambda v: (
                v.kind == "float"
                and v.rank == 3
                and isinstance(v.axes[2], int)
                and v.axes[2] < 80
                and all(isinstance(axis, str) for axis in v.axes[:2])
            )
        )
        if sequence is None:
            sequence = self.placeholder(("B", "T", self.draw.choice(SIZES)))
        rows, steps = sequence.axes[:2]
        time_major = sequence.axes[0] != "B" if self.chance(0.93) else sequence.axes[0] == "B"
        if time_major:
            rows, steps = steps, rows
        width = sequence.axes[2]
        assert isinstance(width, int)
        options = ", time_major=True" if time_major else ""
        self.streams = self.streams and steps == "T"
        self.rows, self.row_wise = rows, sequence.row_wise and rows == "B"
        if rows in ("B", "T") and steps != "B" and self.chance(0.35):
            lengths = self.some(lambda v: v.fed and v.kind == "int" and v.axes == (rows,) and self.is_lengths(v, steps))
            lengths = lengths or self.placeholder((rows,), "int", steps)
            options += f", sequence_length={lengths.name}"
        if self.masks.random() < 0.25 and rows in ("B", "T") and steps in ("B", "T"):
            options += self.mask(rows, steps, time_major)
        if self.chance(0.2):
            self.bidirectional(sequence, width, rows, steps, options, time_major)
            return
        if self.chance(0.06):
            self.stack_bidirectional(sequence, width, rows, steps, options, time_major)
            return
        if self.chance(0.06):
            self.static(width, rows)
            return
        cell, out = self.cell(width)
        cell = self.tapped(cell)
        number = len(self.lines)
        axes: tuple[Axis, ...] = (steps, rows, out) if time_major else (rows, steps, out)
        if self.masks.random() < 0.1:
            options += ", reverse=True"
            self.streams = False
        options += self.initial_state(cell, rows)
        row_wise = self.row_wise
        if self.chance(0.1):
            options += f', scope="scope{number}"'
        self.lines.append(f"o{number}, s{number} = rg.dynamic_rnn({cell}, {sequence.name}{options})")
        self.values.append(Value(f"o{number}", axes, row_wise=row_wise))
        self.last_states(f"s{number}", cell, rows, row_wise)

    def mask(self, rows: Axis, steps: Axis, time_major: bool) -> str:
        """Return code of a mask argument: a feed, or a comparison of a feed with 0."""
        axes = (steps, rows) if time_major else (rows, steps)
        fed = [v for v in self.values if v.fed and v.kind == "int" and v.axes == axes]
        if fed and self.masks.random() < 0.5:
            text = f"rg.not_equal({self.masks.choice(fed).name}, 0)"
        else:
            name = f"feed{len(self.feeds)}"
            self.feeds[name] = Feed(axes, "bool")
            sizes = {"B": self.batch_text, "T": self.time_text}
            shape = ", ".join(sizes[str(axis)] for axis in axes)
            text = self.add(f'rg.placeholder("{name}", ({shape}), "bool")', axes, "bool", fed=True).name
        return f", mask={text}" + (", zero_output_for_mask=True" if self.masks.random() < 0.4 else "")

    def is_lengths(self, value: Value, steps: Axis) -> bool:
        return any(
            f'"{name}"' in line and feed.high == steps
            for name, feed in self.feeds.items()
            for line in self.lines
            if line.startswith(f"{value.name} = ")
        )

    def last_states(self, name: str, cell: str, rows: Axis, row_wise: bool) -> None:
        """Add the final states of a driver as values. Their widths are those that the cell declares."""
        probe = Declaration(self.seed, tuple(self.lines), {}, {}, self.batch, self.time, self.dtype)
        nest = probe.run()[name]
        self.states.append((name, cell, rows, row_wise))
        for path, leaf in leaves(nest, name):
            self.values.append(Value(path, (rows, leaf.width), row_wise=row_wise))

    def initial_state(self, cell: str, rows: Axis) -> str:
        if self.chance(0.25) and self.states:  # from an encoder to a decoder of the same kind
            state, earlier, same, row_wise = self.draw.choice(self.states)
            probe = Declaration(self.seed, tuple(self.lines), {}, {}, self.batch, self.time, self.dtype).run()
            if same == rows and _shape_of(probe[earlier].state_size) == _shape_of(probe[cell].state_size):
                self.row_wise = self.row_wise and row_wise
                return f", initial_state={state}"
        if self.chance(0.25) and rows in ("B", "T"):
            probe = Declaration(self.seed, tuple(self.lines), {}, {}, self.batch, self.time, self.dtype).run()
            text = _nest_text(probe[cell].state_size, lambda width: self.placeholder((rows, width)).name)
            return f", initial_state={text}"
        return ""

    def bidirectional(
        self, sequence: Value, width: int, rows: Axis, steps: Axis, options: str, time_major: bool
    ) -> None:
        forward, out_fw = self.cell(width, 1)
        backward, out_bw = self.cell(width, 1)
        backward = self.tapped(backward)
        row_wise = self.row_wise
        number = len(self.lines)
        call = f"rg.bidirectional_dynamic_rnn({forward}, {backward}, {sequence.name}{options})"
        self.lines.append(f"(fw{number}, bw{number}), (sf{number}, sb{number}) = {call}")
        for name, out in ((f"fw{number}", out_fw), (f"bw{number}", out_bw)):
            self.values.append(Value(name, (steps, rows, out) if time_major else (rows, steps, out), row_wise=row_wise))
        self.last_states(f"sf{number}", forward, rows, row_wise)
        self.last_states(f"sb{number}", backward, rows, row_wise)
        if self.chance(0.6):
            axes: tuple[Axis, ...] = (steps, rows) if time_major else (rows, steps)
            self.add(f"rg.concat([fw{number}, bw{number}], -1)", (*axes, out_fw + out_bw), row_wise=row_wise)

    def stack_bidirectional(
        self, sequence: Value, width: int, rows: Axis, steps: Axis, options: str, time_major: bool
    ) -> None:
        cells: tuple[list[str], list[str]] = ([], [])
        out = width
        for _ in range(self.draw.randint(1, 2)):
            pair = self.cell(out, 2), self.cell(out, 2)
            out = pair[0][1] + pair[1][1]
            for listed, (name, _) in zip(cells, pair, strict=True):
                listed.append(name)
        number, row_wise = len(self.lines), self.row_wise
        forward, backward = (", ".join(listed) for listed in cells)
        call = f"rg.stack_bidirectional_dynamic_rnn([{forward}], [{backward}], {sequence.name}{options})"
        self.lines.append(f"o{number}, (s{number}, *_), _ = {call}")
        axes: tuple[Axis, ...] = (steps, rows, out) if time_major else (rows, steps, out)
        self.values.append(Value(f"o{number}", axes, row_wise=row_wise))
        self.last_states(f"s{number}", cells[0][0], rows, row_wise)

    def static(self, width: int, rows: Axis) -> None:
        wanted = self.some(lambda v: v.kind == "float" and v.axes == (rows, width))
        if wanted is None and rows not in ("B", "T"):
            return
        first = wanted or self.placeholder((rows, width))
        self.streams, self.row_wise = False, first.row_wise and rows == "B"
        cell, out = self.cell(width)
        row_wise, number = self.row_wise, len(self.lines)
        inputs = self.draw.choice(["{0}", "{0}, rg.sin({0})", "{0}, {0} * 0.5, -{0}"]).format(first.name)
        self.lines.append(f"o{number}, s{number} = rg.static_rnn({cell}, [{inputs}])")
        self.values.append(Value(f"o{number}[-1]", (rows, out), row_wise=row_wise))
        self.last_states(f"s{number}", cell, rows, row_wise)

    def tapped(self, cell: str) -> str:
        """Return code of a cell, which sometimes has taps, or runs several times in each step."""
        if self.gates.random() < 0.05:
            name, more = f"cell{len(self.lines)}", self.gates.choice(["1", "2", "2, reverse=True"])
            self.lines.append(f"{name} = own.Pondering({cell}, {more})")
            cell = name
        if not self.taps or self.more.random() < 0.5:
            return cell
        name = f"cell{len(self.lines)}"
        self.lines.append(f"{name} = own.Tapped({cell})")
        return name

    # Decoders ------------------------------------------------------------------------------------

    def decode(self) -> None:
        """Add a decoder that feeds its output back."""
        self.rows, self.row_wise = "B", True
        width: int = self.draw.choice(SIZES)
        steps: Axis = self.draw.choice(["T", 1, 2, 5])
        if self.more.random() < 0.4:
            text, out = self.attention(width, self.draw.choice(SIZES), 1)
            cell = f"cell{len(self.lines)}"
            self.lines.append(f"{cell} = {text}")
        else:
            cell, out = self.cell(width)
        cell = self.tapped(cell)
        read = self.step_inputs(steps)
        options = self.initial_state(cell, "B")
        limit = "None" if read is not None and (steps == "T" or self.chance(0.5)) else str(steps)
        if read is not None:
            options += f", inputs={read.name}"
            self.row_wise = self.row_wise and read.row_wise
        if limit == "T":  # no input determines the number of steps
            limit, steps = "4", 4
        if self.chance(0.35):
            options += self.teacher(steps, width)
        first = self.some(lambda v: v.kind == "float" and v.axes == ("B", width))
        if first is None and options and self.chance(0.5):
            first = self.add(f'rg.parameter("p{len(self.lines)}", ({width},), dtype="{self.dtype}")', (width,))
            self.values.pop()
        first = first or self.placeholder(("B", width))
        self.row_wise = self.row_wise and first.row_wise
        if self.chance(0.7):
            options += f", stop={self.stop()}"
        following, number = self.following(out, width, read), len(self.lines)
        call = f"rg.dynamic_decode({cell}, {first.name}, {following}, {limit}{options})"
        self.lines.append(f"o{number}, s{number}, n{number} = {call}")
        self.values.append(Value(f"o{number}", ("B", steps, out), row_wise=self.row_wise))
        self.last_states(f"s{number}", cell, "B", self.row_wise)
        self.values.append(Value(f"n{number}", ("B",), "int", row_wise=self.row_wise))

    def step_inputs(self, steps: Axis) -> Value | None:
        if self.chance(0.5):
            return None
        result = self.some(
            lambda v: v.kind == "float" and v.rank == 3 and v.axes[:2] == ("B", steps) and isinstance(v.width, int)
        )
        return result or self.placeholder(("B", steps, self.draw.choice(SIZES)))

    def teacher(self, steps: Axis, width: int) -> str:
        taught = self.placeholder(("B", steps, width))
        probability = self.draw.choice(["1.0", "0.5", "keep_teacher"])
        if probability == "keep_teacher" and probability not in self.feeds:
            self.feeds[probability] = Feed((), "float32")
            self.lines.append(f'{probability} = rg.placeholder("{probability}", ())')
        return f", teacher={taught.name}, teacher_prob={probability}"

    def stop(self) -> str:
        bound = self.draw.choice(["0.05", "0.3", "-0.1", "-1e9"])
        test = self.draw.choice(
            ["y[:, 0] > {0}", "rg.reduce_max(y, 1, keepdims=True) > {0}", "rg.reduce_mean(y, 1) < {0}"]
        ).format(bound)
        return f"lambda y: rg.by_graph(training=False, inference={test})" if self.chance(0.2) else f"lambda y: {test}"

    def following(self, out: int, width: int, read: Value | None) -> str:
        """Return code of a function of an output [batch, out] that returns the next input [batch, width]."""
        if self.chance(0.4):
            name = f"p{len(self.lines)}"
            self.lines.append(f'{name} = rg.parameter("{name}", ({out}, {width}), dtype="{self.dtype}")')
            text = self.draw.choice(["y @ {0}", "rg.tanh(y @ {0})"]).format(name)
        else:
            text = (
                "y"
                if out == width
                else f"y[:, :{width}]"
                if out > width
                else f"rg.concat([y] * {-(-width // out)})[:, :{width}]"
            )
            text = self.draw.choice(["{0}", "{0} * 0.5", "rg.sin({0})"]).format(text)
        if read is None or self.chance(0.2):
            return f"lambda y, _: {text}"
        if read.fed and self.chance(0.3):
            name = f"p{len(self.lines)}"
            self.lines.append(f'{name} = rg.parameter("{name}", ({read.width}, {width}), dtype="{self.dtype}")')
            return f"lambda y, x: {text} + rg.gather({name}, rg.argmax(x))"
        return f"lambda y, x: {text} + rg.reduce_mean(x, 1, keepdims=True)"

    # Ops on values -------------------------------------------------------------------------------

    def op(self) -> None:
        self.draw.choice(
            [
                self.unary,
                self.unary,
                self.binary,
                self.binary,
                self.reduce,
                self.reduce,
                self.dense,
                self.dense,
                self.softmax,
                self.join,
                self.cut,
                self.cut,
                self.move,
                self.move,
                self.integers,
                self.integers,
                self.normalise,
                self.choose,
                self.along_time,
                self.random,
            ]
        )()

    def float_value(self) -> Value:
        value = self.some(lambda v: v.kind == "float")
        assert value is not None
        return value

    def unary(self) -> None:
        x = self.float_value()
        self.add(self.draw.choice(UNARY).format(x.name), x.axes, row_wise=x.row_wise)

    def binary(self) -> None:
        a = self.float_value()
        b = self.some(lambda v: v.kind == "float" and _broadcast(a.axes, v.axes) == a.axes) or a
        pair = (a, b) if self.chance(0.5) else (b, a)
        row_wise = a.row_wise and b.row_wise and (b.rank == a.rank or "B" not in b.axes)
        self.add(self.draw.choice(BINARY).format(*(item.name for item in pair)), a.axes, row_wise=row_wise)

    def reduce(self) -> None:
        x = self.float_value()
        if not x.rank:
            return
        axes = sorted(self.draw.sample(range(x.rank), self.draw.randint(1, min(2, x.rank))))
        keep = self.chance(0.4)
        kind = self.draw.choice(["sum", "mean", "max", "min"])
        result = tuple(1 if a in axes else dim for a, dim in enumerate(x.axes) if keep or a not in axes)
        scale = " * 0.25" if kind == "sum" else ""
        text = f"rg.reduce_{kind}({x.name}, {axes[0] if len(axes) == 1 else axes}, keepdims={keep}){scale}"
        self.add(text, result, row_wise=x.row_wise and all(_rowless(x.axes[a]) for a in axes))

    def along_time(self) -> None:
        x = self.some(lambda v: v.kind == "float" and v.axes[:2] == ("B", "T") and v.rank == 3)
        if x is None or self.chance(0.5):
            x = self.float_value()
            if x.rank:
                axis = self.draw.randrange(x.rank)
                options = self.draw.choice(["", ", exclusive=True", ", reverse=True", ", exclusive=True, reverse=True"])
                self.streams = self.streams and x.axes[axis] in ("T", 1)
                self.add(
                    f"rg.cumsum({x.name}, {axis}{options}) * 0.25",
                    x.axes,
                    row_wise=x.row_wise and _rowless(x.axes[axis]),
                )
            return
        if self.chance(0.2):
            lengths = self.placeholder(("B",), "int", "T")
            self.add(f"rg.reverse_sequence({x.name}, {lengths.name})", x.axes, row_wise=x.row_wise)
        elif self.chance(0.3):
            self.pool(x)
        elif isinstance(x.width, int):
            self.convolution(x, x.width)

    def convolution(self, x: Value, width: int) -> None:
        n, size, dilation = self.draw.choice(SIZES), self.draw.randint(1, 3), self.draw.randint(1, 3)
        before = self.draw.randint(0, dilation * (size - 1))
        both = f"({before}, {dilation * (size - 1) - before})"  # paddings that preserve the number of steps
        padding = self.draw.choice(['"causal"', '"causal"', '"same"', both])
        stride = self.draw.choice([1, 1, 1, 2, 3])
        options = f", {padding}" + (f", dilation={dilation}" if dilation > 1 else "")
        options += f', activation="{self.draw.choice(ACTIVATIONS)}"' if self.chance(0.3) else ""
        options += ", use_bias=False" if self.chance(0.2) else ""
        options += f", strides={stride}" if stride > 1 else ""
        if self.chance(0.25):
            n, options = width * self.draw.randint(1, 2), f"{options}, groups={width}"
        steps = x.axes[1] if stride == 1 else f"-(-({x.axes[1]})//{stride})"
        self.add(f"rg.conv1d({x.name}, {n}, {size}{options})", (x.axes[0], steps, n), row_wise=x.row_wise)

    def pool(self, x: Value) -> None:
        kind, size, stride = self.draw.choice(["max", "average"]), self.draw.randint(1, 3), self.draw.randint(1, 3)
        steps = x.axes[1] if stride == 1 else f"-(-({x.axes[1]})//{stride})"
        text = f'rg.{kind}_pool1d({x.name}, {size}, {stride}, "same")'
        self.add(text, (x.axes[0], steps, x.axes[2]), row_wise=x.row_wise)

    def random(self) -> None:
        """Add a random op of the training graph."""
        x = self.float_value()
        if not x.rank:
            return
        if self.chance(0.5):
            self.add(f"rg.dropout({x.name}, {self.keep_prob()})", x.axes, row_wise=x.row_wise)
            return
        noise = self.draw.choice(["rg.random_normal({0}) * 0.1", "{0} * rg.random_uniform({0}, 0.5, 1.5)"])
        inference = self.draw.choice([x.name, "0.5"])
        text = f"rg.by_graph(training={noise.format(x.name)}, inference={inference})"
        self.add(text, x.axes, row_wise=x.row_wise)

    def softmax(self) -> None:
        x = self.float_value()
        if not x.rank:
            return
        axis = self.draw.choice([x.rank - 1, x.rank - 1, self.draw.randrange(x.rank)])
        name = self.draw.choice(["softmax", "log_softmax"])
        self.add(f"rg.{name}({x.name}, {axis})", x.axes, row_wise=x.row_wise and _rowless(x.axes[axis]))

    def normalise(self) -> None:
        x = self.some(lambda v: v.kind == "float" and v.rank > 0 and isinstance(v.width, int) and v.width > 1)
        if x is not None:
            self.add(f"rg.layer_norm({x.name}, epsilon=1e-2)", x.axes, row_wise=x.row_wise)

    def dense(self) -> None:
        x = self.some(lambda v: v.kind == "float" and v.rank > 0 and isinstance(v.width, int))
        if x is None:
            return
        n = self.draw.choice(SIZES)
        if self.chance(0.4):
            assert isinstance(x.width, int)
            self.add(f"{x.name} @ {self.right_operand(x.width, n)}", (*x.axes[:-1], n), row_wise=x.row_wise)
            return
        options = f', activation="{self.draw.choice(ACTIVATIONS)}"' if self.chance(0.4) else ""
        options += ", use_bias=False" if self.chance(0.2) else ""
        self.add(f"rg.dense({x.name}, {n}{options})", (*x.axes[:-1], n), row_wise=x.row_wise)

    def right_operand(self, depth: int, width: int) -> str:
        """Return code of a matrix [depth, width]: a parameter, a feed, or computed from one, possibly transposed."""
        turned = self.chance(0.4)
        shape = (width, depth) if turned else (depth, width)
        if self.chance(0.35):
            name = self.placeholder(shape).name
        else:
            name = f"p{len(self.lines)}"
            self.lines.append(f'{name} = rg.parameter("{name}", {shape}, dtype="{self.dtype}")')
        text = self.draw.choice(["{0}", "{0}", "rg.tanh({0})", "rg.softmax({0}, 0)"]).format(name)
        return f"rg.transpose({text})" if turned else f"({text})"

    def join(self) -> None:
        a = self.float_value()
        if not a.rank:
            return
        axis = self.draw.randrange(a.rank)
        matches = [
            v
            for v in self.values
            if v.kind == "float"
            and v.rank == a.rank
            and v.axes[:axis] == a.axes[:axis]
            and v.axes[axis + 1 :] == a.axes[axis + 1 :]
        ]
        parts = [a, *(self.draw.choice(matches) for _ in range(self.draw.randint(1, 2)))]
        names = ", ".join(item.name for item in parts)
        row_wise = all(item.row_wise for item in parts) and _rowless(a.axes[axis])
        if self.chance(0.25) and all(item.axes == a.axes for item in parts):
            position = self.draw.randint(0, a.rank)
            axes = (*a.axes[:position], len(parts), *a.axes[position:])
            self.add(f"rg.stack([{names}], {position})", axes, row_wise=row_wise)
            return
        total = _sum([item.axes[axis] for item in parts])
        if self.chance(0.15):
            times = tuple(2 if a_ == axis else 1 for a_ in range(a.rank))
            self.add(
                f"rg.tile({a.name}, {times})",
                (*a.axes[:axis], _sum([a.axes[axis]] * 2), *a.axes[axis + 1 :]),
                row_wise=a.row_wise and _rowless(a.axes[axis]),
            )
            return
        self.add(f"rg.concat([{names}], {axis})", (*a.axes[:axis], total, *a.axes[axis + 1 :]), row_wise=row_wise)

    def cut(self) -> None:
        x = self.some(lambda v: v.kind == "float" and v.rank > 0)
        if x is None:
            return
        axis = self.draw.randrange(x.rank)
        dim = x.axes[axis]
        have = Declaration(0, (), {}, {}, self.batch, self.time, "").size(dim)
        before, after, row_wise = x.axes[:axis], x.axes[axis + 1 :], x.row_wise and _rowless(dim)
        head = ":, " * axis
        roll = self.draw.random()
        if roll < 0.3:
            index = self.draw.choice([0, -1])
            self.add(f"{x.name}[{head}{index}]", (*before, *after), row_wise=row_wise)
        elif roll < 0.45:
            self.add(f"{x.name}[{head}::-1]", x.axes, row_wise=row_wise)
        elif roll < 0.6 and have > 1:
            bounds = self.draw.choice(["1:", ":-1"])
            new = dim - 1 if isinstance(dim, int) else f"({dim}-1)"
            self.add(f"{x.name}[{head}{bounds}]", (*before, new, *after), row_wise=row_wise)
        elif isinstance(dim, str) and roll < 0.8:
            step = self.draw.choice([2, 3, -2])
            self.add(f"{x.name}[{head}::{step}]", (*before, f"-(-({dim})//{abs(step)})", *after), row_wise=row_wise)
        elif isinstance(dim, str):
            mode, most = self.draw.choice([("constant", 2), ("edge", 2), ("reflect", have - 1)])
            counts = [self.draw.randint(0, max(0, min(most, 2))) for _ in range(2)]
            new = f"({dim}+{sum(counts)})"
            text = f'rg.pad({x.name}, {{{axis}: ({counts[0]}, {counts[1]})}}, "{mode}")'
            self.add(text, (*before, new, *after), row_wise=row_wise)
        elif isinstance(dim, int) and dim > 1 and roll < 0.75:
            start = self.draw.randrange(dim)
            stop = self.draw.randint(start + 1, dim)
            self.add(f"{x.name}[{head}{start}:{stop}]", (*before, stop - start, *after), row_wise=x.row_wise)
        elif isinstance(dim, int) and dim > 1 and roll < 0.85:
            self.add(f"{x.name}[{head}::2]", (*before, -(-dim // 2), *after), row_wise=x.row_wise)
        elif isinstance(dim, int) and dim > 1:
            first = self.draw.randint(1, dim - 1)
            number = len(self.lines)
            self.lines.append(f"a{number}, b{number} = rg.split({x.name}, [{first}, {dim - first}], {axis})")
            for name, part in ((f"a{number}", first), (f"b{number}", dim - first)):
                self.values.append(Value(name, (*before, part, *after), row_wise=x.row_wise))

    def move(self) -> None:
        x = self.float_value()
        roll = self.draw.random()
        if roll < 0.35 and x.rank > 1:
            order = list(range(x.rank))
            self.draw.shuffle(order)
            self.add(f"rg.transpose({x.name}, {tuple(order)})", tuple(x.axes[a] for a in order), row_wise=x.row_wise)
        elif roll < 0.5:
            position = self.draw.randint(0, x.rank)
            if x.rank < 5:
                self.add(
                    f"rg.expand_dims({x.name}, {position})",
                    (*x.axes[:position], 1, *x.axes[position:]),
                    row_wise=x.row_wise,
                )
        elif roll < 0.6 and 1 in x.axes:
            self.add(f"rg.squeeze({x.name})", tuple(dim for dim in x.axes if dim != 1), row_wise=x.row_wise)
        elif roll < 0.75 and x.rank >= 2:
            width = x.axes[-1]
            if isinstance(width, int):
                rows = _product(x.axes[:-1])
                self.add(f"rg.reshape({x.name}, (-1, {width}))", (rows, width), row_wise=False)
        elif x.rank >= 1 and isinstance(x.width, int) and x.width % 3 == 0:
            kept = ", ".join(["None"] * (x.rank - 1))
            self.add(
                f"rg.reshape({x.name}, ({kept}{', ' if kept else ''}3, {x.width // 3}))",
                (*x.axes[:-1], 3, x.width // 3),
                row_wise=x.row_wise,
            )
        elif x.rank >= 3 and all(isinstance(dim, int) for dim in x.axes[-2:]):
            width = int(x.axes[-1]) * int(x.axes[-2])
            kept = ", ".join(["None"] * (x.rank - 2))
            self.add(f"rg.reshape({x.name}, ({kept}, {width}))", (*x.axes[:-2], width), row_wise=x.row_wise)

    def flatten(self) -> None:
        """Merge rows and steps into one axis, and combine the result with a placeholder of merged axes.

        Only a call can check that both merged axes have equal sizes.
        """
        x = self.some(lambda v: v.kind == "float" and sorted(map(str, v.axes[:2])) == ["B", "T"] and v.rank == 3)
        if x is None or not isinstance(x.width, int):
            return
        name, kind = f"feed{len(self.feeds)}", self.flattens.choice(["float", "float", "int"])
        dtype, width = (self.dtype, (1,)) if kind == "float" else ("int32", ())
        self.feeds[name] = Feed((*x.axes[:2], *width), dtype, None if kind == "float" else x.width - 1)
        self.lines.append(f'{name} = rg.placeholder("{name}", (None, None{", 1" if width else ""}), "{dtype}")')
        flat = f"rg.reshape({x.name}, (-1, {x.width}))"
        if kind == "int":
            text = f"rg.sparse_softmax_cross_entropy(rg.reshape({name}, (-1,)), {flat})"
            self.add(text, (), row_wise=False)
            return
        other = f"rg.reshape({name}, (-1, 1))"
        text = self.flattens.choice(
            [
                f"{flat} * {other}",
                f"rg.concat([{other}, {flat}], 1)[:, :{x.width}]",
                f"rg.where({other} > 0, {flat}, 0)",
            ]
        )
        self.add(text, (_product(x.axes[:2]), x.width), row_wise=False)

    def batch_norm(self) -> None:
        """Add batch normalization, which mixes rows in training, and uses averages in inference."""
        x = self.some(lambda v: v.kind == "float" and v.rank >= 2 and isinstance(v.width, int))
        if x is None:
            return
        options = self.norms.choice(["", "", ", center=False", ", scale=False", ", momentum=0.5"])
        self.add(f"rg.batch_normalization({x.name}, epsilon=0.1{options})", x.axes, row_wise=x.row_wise)

    def matrices(self) -> None:
        """Add batched matrix products, such as scores of attention, and ops on the products."""
        x = self.some(lambda v: v.kind == "float" and v.rank >= 3)
        if x is None:
            return
        alike = self.some(
            lambda v: (
                v.kind == "float" and v.axes[:-2] == x.axes[:-2] and v.axes[-1:] == x.axes[-1:] and v.rank == x.rank
            )
        )
        y = alike or x
        order = (*range(x.rank - 2), x.rank - 1, x.rank - 2)
        row_wise = x.row_wise and y.row_wise and all(map(_rowless, (*x.axes[-2:], *y.axes[-2:])))
        score = f"({x.name} @ rg.transpose({y.name}, {order})) * 0.2"
        text, axes = self.products.choice(
            [
                (f"rg.tanh({score})", (*x.axes[:-1], y.axes[-2])),
                (f"rg.softmax({score}) @ {y.name}", x.axes),
                (
                    f"rg.tanh((rg.transpose({x.name}, {order}) @ {x.name}) * 0.1)",
                    (*x.axes[:-2], x.axes[-1], x.axes[-1]),
                ),
                (
                    f"rg.tanh((rg.tanh({x.name}[..., :1, :]) @ rg.transpose({y.name}, {order})) * 0.2)",
                    (*x.axes[:-2], 1, y.axes[-2]),
                ),
            ]
        )
        self.add(text, axes, row_wise=row_wise)

    def integers(self) -> None:
        roll = self.draw.random()
        if roll < 0.4:
            x = self.some(lambda v: v.fed and v.kind == "float" and v.rank > 0)
            if x is not None:
                axis = self.draw.randrange(x.rank)
                self.add(
                    f"rg.argmax({x.name}, {axis})",
                    (*x.axes[:axis], *x.axes[axis + 1 :]),
                    "int",
                    row_wise=_rowless(x.axes[axis]),
                )
        elif roll < 0.6:
            axes = self.draw.choice([("B",), ("B", "T"), ("T",)])
            depth, n = self.draw.choice(SIZES), self.draw.choice(SIZES)
            ids = self.placeholder(axes, "int", depth - 1)
            number, numbers = len(self.lines), self.chance(0.2)
            if self.chance(0.6):
                shape = f"({depth},)" if numbers else f"({depth}, {n})"
                self.lines.append(f'p{number} = rg.parameter("p{number}", {shape}, dtype="{self.dtype}")')
                rows = axes if numbers else (*axes, n)
                lookup = f"rg.gather(p{number}, {ids.name})" if numbers else f"rg.embedding({ids.name}, p{number})"
                self.add(lookup, rows, row_wise="B" in axes)
            else:
                self.add(f'rg.one_hot({ids.name}, {depth}, "{self.dtype}")', (*axes, depth), row_wise="B" in axes)
        elif roll < 0.8:
            x = self.some(lambda v: v.kind == "float" and v.axes[:2] == ("B", "T") and v.rank == 3)
            if x is not None:
                lengths = self.placeholder(("B",), "int", "T")
                self.add(f"rg.gather_last({x.name}, {lengths.name})", ("B", x.axes[2]), row_wise=x.row_wise)
        else:
            index = self.some(lambda v: v.kind == "int" and v.rank > 0)
            if index is not None:
                self.add(f'rg.cast({index.name}, "{self.dtype}") * 0.1', index.axes, row_wise=index.row_wise)

    def choose(self) -> None:
        x = self.float_value()
        condition = self.some(lambda v: v.fed and v.kind == "float" and _broadcast(x.axes, v.axes) == x.axes)
        if condition is None:
            return
        row_wise = x.row_wise and (condition.rank == x.rank or "B" not in condition.axes)
        test = self.draw.choice(["{0} > 0", "{0} <= 0.5", "rg.logical_not({0} < 0)", "rg.not_equal({0}, 0)"])
        chosen = self.draw.choice(["{0}, 0.5", "0, {0}", "{0}, -{0}"]).format(x.name)
        self.add(f"rg.where({test.format(condition.name)}, {chosen})", x.axes, row_wise=row_wise)

    # Losses --------------------------------------------------------------------------------------

    def loss(self) -> None:
        x = self.some(
            lambda v: (
                v.kind == "float"
                and v.axes[:1] == ("B",)
                and isinstance(v.width, int)
                and v.rank in (2, 3)
                and (v.rank == 2 or v.axes[1] == "T")
            )
        )
        if x is None:
            return
        assert isinstance(x.width, int)
        axes, options = x.axes[:-1], ""
        if len(axes) == 2 and self.chance(0.6):
            lengths = self.placeholder(("B",), "int", "T")
            options += f", lengths={lengths.name}"
            # A mean over no steps is 0/0; a sum is defined.
            options += ', reduction="sum"'
        elif self.chance(0.3):
            options += ', reduction="sum"'
        if self.chance(0.3):
            weights = self.placeholder(axes)
            options += f", weights=rg.abs({weights.name}) + 0.1"
        kinds = ["sparse_softmax_cross_entropy", "sparse_softmax_cross_entropy", "softmax_cross_entropy"]
        kinds += ["sigmoid_cross_entropy", "mean_squared_error", "absolute_difference", "huber_loss"]
        kind = self.draw.choice(kinds)
        if kind.startswith("sparse"):
            labels = self.placeholder(axes, "int", x.width - 1)
            self.lines.append(f"loss = rg.{kind}({labels.name}, {x.name}{options})")
            return
        labels = self.placeholder(x.axes)
        text = f"rg.softmax({labels.name})" if kind == "softmax_cross_entropy" else labels.name
        self.lines.append(f"loss = rg.{kind}({text}, {x.name}{options})")

    # The declaration -----------------------------------------------------------------------------

    def declaration(self) -> Declaration:
        self.placeholder(
            ("T", "B", self.draw.choice(SIZES)) if self.chance(0.2) else ("B", "T", self.draw.choice(SIZES))
        )
        if self.chance(0.2):
            self.op()
        for _ in range(self.draw.choice([1, 1, 1, 2, 2, 3])):
            self.driver()
            for _ in range(self.draw.randint(0, 4)):
                self.op()
        if self.flattens.random() < 0.25:
            self.flatten()
        if self.products.random() < 0.25:
            for _ in range(self.products.randint(1, 2)):
                self.matrices()
        if self.norms.random() < 0.15:
            self.batch_norm()
        if self.decodes:
            self.decode()
            for _ in range(self.draw.randint(0, 2)):
                self.op()
        if self.taps:
            for _ in range(self.more.randint(1, 2)):
                seen = self.more.choice([value for value in self.values if not value.fed])
                self.add(f'rg.tap("seen", {seen.name})', seen.axes, seen.kind, row_wise=seen.row_wise)
        if self.chance(0.6):
            self.loss()
        results = [value for value in self.values if not value.fed]
        count = min(len(results), self.draw.randint(1, 5))
        chosen = results[-1:] + self.draw.sample(results, count)
        outputs = {}
        for value in {item.name: item for item in chosen}.values():
            key = f"r{len(outputs)}"
            outputs[key] = value
            self.lines.append(f'outputs["{key}"] = {value.name}')
        unroll = self.draw.choice([None, None, None, 2, 3])
        facts = (self.seed, tuple(self.lines), self.feeds, outputs, self.batch, self.time, self.dtype)
        return Declaration(*facts, unroll, self.streams)


def declare(seed: int) -> Declaration:
    """Return the random declaration of a seed."""
    return Generator(random.Random(seed), seed).declaration()


def shrunk(declaration: Declaration, fails: Callable[[Declaration], bool], tries: int = 400) -> Declaration:
    """Return a declaration of fewer lines that still fails. Lines are removed one by one from the end."""
    changed = True
    while changed and tries > 0:
        changed = False
        for position in reversed(range(len(declaration.lines))):
            lines = declaration.lines[:position] + declaration.lines[position + 1 :]
            kept = {
                key: value
                for key, value in declaration.outputs.items()
                if any(f'outputs["{key}"]' in line for line in lines)
            }
            smaller = replace(declaration, lines=lines, outputs=kept)
            tries -= 1
            if tries > 0 and _declares(smaller) and fails(smaller):
                declaration, changed = smaller, True
    return declaration


def _declares(declaration: Declaration) -> bool:
    try:
        return bool(declaration.run()["outputs"])
    except Exception:
        return False


def _broadcast(a: tuple[Axis, ...], b: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
    """Return the broadcast axes of ``a`` and ``b``; None if they do not broadcast. Only sizes of 1 broadcast."""
    if len(b) > len(a):
        return None
    tail = a[len(a) - len(b) :]
    return a if all(y in (x, 1) for x, y in zip(tail, b, strict=True)) else None


def _rowless(axis: Axis) -> bool:
    return isinstance(axis, int) or "B" not in axis


def _sum(axes: list[Axis]) -> Axis:
    if all(isinstance(axis, int) for axis in axes):
        return sum(int(axis) for axis in axes)
    return "(" + "+".join(map(str, axes)) + ")"


def _product(axes: tuple[Axis, ...]) -> Axis:
    if all(isinstance(axis, int) for axis in axes):
        return int(np.prod([int(axis) for axis in axes]))
    return "*".join(map(str, axes)) if len(axes) > 1 else axes[0]


def leaves(nest: Any, path: str) -> list[tuple[str, Any]]:
    """Return (expression that selects the leaf from ``path``, leaf) for every leaf of a nest."""
    if isinstance(nest, dict):
        return [leaf for key, item in nest.items() for leaf in leaves(item, f"{path}[{key!r}]")]
    if isinstance(nest, tuple | list):
        return [leaf for number, item in enumerate(nest) for leaf in leaves(item, f"{path}[{number}]")]
    return [(path, nest)]


def _shape_of(nest: Any) -> Any:
    return tuple(map(_shape_of, nest)) if isinstance(nest, tuple | list) else nest


def _nest_text(sizes: Any, leaf: Callable[[int], str]) -> str:
    if isinstance(sizes, tuple | list):
        return "(" + "".join(f"{_nest_text(item, leaf)}, " for item in sizes) + ")"
    return leaf(int(sizes))


@dataclass
class Tally:
    """Counter of the declarations that were run, by the ops and options that they contain."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
