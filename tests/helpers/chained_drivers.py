"""Random declarations in users' style: consecutive drivers with computed lengths, with reshapes and lookups in between.

``declare_chain(seed)`` returns such a declaration, with the text that a user would write.
"""

from __future__ import annotations

import random

from declarations import SIZES, Axis, Declaration, Feed, Generator, Value

LENGTHS = (
    "{n}",
    "rg.maximum({n} - 1, 0)",
    "rg.minimum({n}, 2)",
    "rg.maximum({n} - 2, 1) - 1",
    'rg.reduce_sum(rg.cast({x}[:, :, 0] > 0, "{dtype}"), 1)',
    "rg.minimum({n} + 1, 3)",
    "rg.where({n} > 1, {n}, {n} * 0)",
    'rg.cast(rg.reduce_sum(rg.cast({x}[:, :, -1] < 0.5, "float32"), 1), "{dtype}")',
)


class Chain(Generator):
    """Generator of consecutive drivers. ``steps`` is the size of the current sequence's time axis."""

    steps: Axis = "T"

    def link(self, value: Value) -> Value:
        """Add an op between two drivers: from [batch, steps, width] to another width."""
        assert isinstance(value.width, int)
        n = self.draw.choice(SIZES)
        match self.draw.randrange(6):
            case 0:
                return self.add(f"rg.dense({value.name}, {n})", (*value.axes[:2], n))
            case 1 if value.axes[1] == "T":  # rows and steps merged and split again
                flat = self.add(f"rg.reshape({value.name}, (-1, {value.width}))", ("B*T", value.width))
                flat = self.add(f'rg.dense({flat.name}, {n}, activation="tanh")', ("B*T", n))
                return self.add(f'rg.reshape({flat.name}, ("batch", "time", {n}))', (*value.axes[:2], n))
            case 2:
                return self.add(f"rg.layer_norm({value.name}, epsilon=1e-2)", value.axes) if value.width > 1 else value
            case 3:
                ids = self.add(f"rg.argmax({value.name}, 2)", value.axes[:2], "int")
                table = f"p{len(self.lines)}"
                self.lines.append(f'{table} = rg.parameter("{table}", ({value.width}, {n}), dtype="{self.dtype}")')
                return self.add(f"rg.gather({table}, {ids.name})", (*value.axes[:2], n))
            case 4:
                self.steps = f"({self.steps}-1)"
                part = self.draw.choice(["1:", ":-1"])
                return self.add(f"{value.name}[:, {part}]", (value.axes[0], self.steps, value.width))
        return value

    def length(self, value: Value) -> str:
        """Return code of a lengths argument over ``value``, computed as in users' programs; ``""`` for none."""
        if self.draw.random() < 0.2:
            return ""
        dtype = self.draw.choice(["int32", "int64"])
        fed = "n" if self.steps == "T" else f"rg.maximum(n - {str(self.steps).count('-')}, 0)"
        text = self.draw.choice(LENGTHS).format(n=fed, x=value.name, dtype=dtype)
        return f", sequence_length={text}"

    def some_steps(self) -> str:
        """Return code of a mask argument that is computed from a feed; ``""`` for none."""
        if self.masks.random() < 0.7:
            return ""
        first, zero = str(self.steps).count("-"), self.masks.choice(["", ", zero_output_for_mask=True"])
        return f", mask=v0[:, {first}:, 0] > {self.masks.choice([-0.5, 0.5])}{zero}"

    def one(self, value: Value) -> Value:
        """Add a driver, in one direction or in both. Return its outputs."""
        assert isinstance(value.width, int)
        self.rows, self.row_wise = "B", True
        options, number = self.length(value) + self.some_steps(), len(self.lines)
        if self.draw.random() < 0.5:
            forward, n = self.cell(value.width, 2)
            backward, m = self.cell(value.width, 2)
            number = len(self.lines)
            call = f"rg.bidirectional_dynamic_rnn({forward}, {backward}, {value.name}{options})"
            self.lines.append(f"(f{number}, b{number}), (s{number}, _) = {call}")
            self.last_states(f"s{number}", forward, "B", True)
            return self.add(f"rg.concat([f{number}, b{number}], -1)", (*value.axes[:2], n + m))
        cell, n = self.cell(value.width, 2)
        number = len(self.lines)
        options += ", reverse=True" if self.masks.random() < 0.15 else ""
        self.lines.append(f"o{number}, s{number} = rg.dynamic_rnn({cell}, {value.name}{options})")
        self.last_states(f"s{number}", cell, "B", True)
        result = Value(f"o{number}", (*value.axes[:2], n))
        self.values.append(result)
        return result

    def declaration(self) -> Declaration:
        self.time, self.streams = self.draw.randint(3, 9), False
        self.batch_text, self.time_text = '"batch"', '"time"'
        value = self.placeholder(("B", "T", self.draw.choice(SIZES)))
        self.feeds["n"] = Feed(("B",), self.draw.choice(["int32", "int64"]), "T")
        self.lines.append(f'n = rg.placeholder("n", (None,), "{self.feeds["n"].dtype}")')
        for _ in range(self.draw.randint(2, 3)):
            value = self.link(self.one(value))
        last = self.some(lambda v: v.axes[:1] == ("B",) and v.rank == 2 and v.kind == "float") or value
        score = f"rg.reduce_sum(rg.square({value.name}), (1, 2))"
        rows = f"rg.reduce_sum({last.name}, {tuple(range(1, last.rank))})"
        self.lines.append(f"loss = rg.reduce_mean({self.draw.choice([score, rows, f'{score} - {rows}'])})")
        outputs = {"r": last} if self.draw.random() < 0.5 else {"r": value}
        self.lines.append(f'outputs["r"] = {outputs["r"].name}')
        facts = (self.seed, tuple(self.lines), self.feeds, outputs, self.batch, self.time, self.dtype)
        return Declaration(*facts, None, False)


def declare_chain(seed: int) -> Declaration:
    """Return the random declaration of a seed."""
    return Chain(random.Random(seed), seed).declaration()
