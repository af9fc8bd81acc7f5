"""A profile: what calls took, by layer, kernel, phase and line. Prints as tables, in notebooks too, and plots."""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...storage.atomic_file import as_path, replace_file
from ...support.api_guard import api
from ...support.attribute_hints import Telling
from ...support.errors import ArgumentError, NameLookupError, did_you_mean, shown
from .breakdown import KernelPart, Part, grouped, layer_of, line_of, phase_of, unowned
from .limits import Limits
from .page import Column, Titled, html_of
from .picture import picture_of, png_of, svg_of

WIDTH = 160
"""Columns of text, where there is no terminal."""
SMALL = 0.001
"""Share of kernels that a table puts together."""
ESTIMATED = "~"
"""Stands ahead of figures that are a share of a kernel, as a model of its cost divides it."""


PICTURES = (".svg", ".png")
"""Suffixes of files that a profile is drawn as."""


@dataclass(frozen=True, eq=False)
class Profile(Telling, Mapping[str, Part]):
    """What calls of a graph took: a mapping from layer to ``Part``, the one that takes most first.

    graph: ``inference``, ``training`` or ``step``.
    sizes: those of the calls, by name.
    kernels: in the order in which they run.
    seconds: of an average call in native code, which the shares of each table add up to.
    python: seconds of all else that a call takes.
    ratio: of the two together to the same call where nothing is counted, as it was timed in turn; near 1 where counting
        disturbs little.
    calls: that were counted.
    workers: that shared them.
    limits: of this machine.
    weights: how the calls hold parameters, where some were asked to be narrow.
    """

    graph: str
    sizes: Mapping[str, int]
    kernels: tuple[KernelPart, ...]
    seconds: float
    python: float
    ratio: float
    calls: int
    workers: int
    limits: Limits
    weights: str = ""

    # The mapping ---------------------------------------------------------------------------------

    def __getitem__(self, layer: str) -> Part:
        layers = self.layers
        if not isinstance(layer, str) or layer not in layers:
            hint = did_you_mean(layer, layers) or f"; there are {', '.join(layers)}"
            raise NameLookupError(f"the profile has no layer {shown(layer)}{hint}")
        return layers[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @cached_property
    def layers(self) -> dict[str, Part]:
        """By layer; what is none's stands in parentheses."""
        return _ordered(grouped(self.kernels, layer_of))

    @cached_property
    def phases(self) -> dict[str, Part]:
        """By ``forward``, ``backward`` and ``update``."""
        return _ordered(grouped(self.kernels, phase_of))

    @cached_property
    def lines(self) -> dict[str, Part]:
        """By line of the script, such as ``net.py:12``."""
        return _ordered(grouped(self.kernels, line_of))

    @property
    def floor(self) -> float:
        """Seconds that no code for these kernels can beat on this machine, with as many workers; Python apart."""
        return sum(kernel.floor for kernel in self.kernels)

    @property
    def unowned(self) -> float:
        """The share of native time that no line of the script owns."""
        return unowned(self.kernels)

    @property
    def call(self) -> float:
        """Seconds of a call where nothing is counted."""
        return (self.seconds + self.python) / self.ratio

    # Text ----------------------------------------------------------------------------------------

    def headline(self) -> str:
        """The call in a line or two."""
        sizes = ", ".join(f"{name} = {value}" for name, value in self.sizes.items())
        outside = self.python / ((self.python + self.seconds) or 1.0)
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        return (
            f"{self.graph}{f' with {sizes}' if sizes else ''}: {duration(self.call)} a call{workers}; "
            f"{duration(self.seconds)} in native code, {duration(self.python)} in Python ({outside:.1%}). "
            f"Floor here: {duration(self.floor)}. "
            f"{self.calls:,} calls counted; {self.unowned:.1%} of native time is no line's."
            f"{f' Weights: {self.weights}.' if self.weights else ''}"
        )

    def tables(self) -> Iterator[Titled]:
        """Title, columns and rows of each table."""
        yield "layers", [("layer", False, _name), *FIGURES], [*self.layers.values()]
        passes = [("pass", False, _of_kernel(lambda kernel: kernel.phases))] if self._has_passes else []
        around = self._around()
        layer = "layer", False, _of_kernel(lambda kernel: [name.removeprefix(around) for name in kernel.layers])
        yield "kernels", [("kernel", False, _name), layer, *OF_KERNELS, *passes, *FIGURES], self._shown_kernels()
        if self._has_passes:
            yield "passes", [("pass", False, _name), *FIGURES], [*self.phases.values()]
        yield "lines", [("line", False, _name), *FIGURES], [*self.lines.values()]

    @property
    def _has_passes(self) -> bool:
        return len([name for name in self.phases if not name.startswith("(")]) > 1

    def _around(self) -> str:
        """What the paths of all layers begin with."""
        paths = [name.split("/")[:-1] for name in self.layers if "/" in name]
        shared = [names[0] for names in zip(*paths, strict=False)] if paths else []
        while shared and any(path[: len(shared)] != shared for path in paths):
            shared.pop()
        return "/".join([*shared, ""]) if shared else ""

    def _shown_kernels(self) -> list[KernelPart]:
        """All but the small ones, which are one row at the end."""
        large = [kernel for kernel in self.kernels if kernel.share >= SMALL]
        small = [kernel for kernel in self.kernels if kernel.share < SMALL]
        if small:
            seconds, share, runs, flops, count, floor = (
                sum(getattr(kernel, name) for kernel in small)
                for name in ("seconds", "share", "runs", "flops", "bytes", "floor")
            )
            large.append(KernelPart(f"{len(small)} others", seconds, share, runs, flops, count, floor, ""))
        return large

    def __str__(self) -> str:
        file = io.StringIO()
        width = Console().width if sys.stdout.isatty() else WIDTH
        # In a notebook rich would show the text at once, and give none.
        console = Console(file=file, width=width, highlight=False, color_system=None, force_jupyter=False)
        self.print_to(console)
        return file.getvalue().rstrip()

    __repr__ = __str__

    def print_to(self, console: Console) -> None:
        """Prints all to a console of rich."""
        console.print(self.headline(), markup=False, soft_wrap=True)
        self.print_tables(console, ("layers", "kernels", "passes", "lines"))

    def print_tables(self, console: Console, only: Sequence[str]) -> None:
        """Prints the tables of these titles, as far as there are such."""
        for title, columns, parts in self.tables():
            if title in only:
                table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
                for heading, right, _ in columns:
                    table.add_column(heading, justify="right" if right else "left", no_wrap=right, overflow="fold")
                for part in parts:
                    table.add_row(*(escape(text(part)) for _, _, text in columns))
                console.print(table)
        if any(part.estimated for part in (*self.layers.values(), *self.lines.values())):
            console.print(f"{ESTIMATED} a share of kernels, as a model of their cost divides them", markup=False)

    def _repr_html_(self) -> str:
        return html_of(self.headline(), self.tables())

    @api
    def plot(self, path: str | os.PathLike[str] | None = None) -> str:
        """Draws the machine's roofline with each layer, and a bar a layer. Gives the picture as SVG.

        path: where it is written, a ``.svg`` file, or with matplotlib a ``.png``.
        Raises ``ArgumentError`` for other kinds of files, ``MissingExtraError`` for a ``.png`` without matplotlib.
        """
        target, picture = None if path is None else as_path(path), picture_of([*self.layers.values()], self.limits)
        text, kind = svg_of(picture), ".svg" if target is None else target.suffix.lower()
        if kind not in PICTURES:
            raise ArgumentError(
                f"can't plot {kind or 'a file without suffix'}; a profile is drawn as {' or '.join(PICTURES)}"
            )
        if target is not None:
            data = text.encode() if kind == ".svg" else png_of(picture)
            with replace_file(target) as file:
                file.write(data)
        return text


def duration(seconds: float) -> str:
    """Seconds in a unit that fits."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}" if seconds < 1000 * factor else f"{seconds / factor:,.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _ordered(parts: Mapping[str, Part]) -> dict[str, Part]:
    return {part.name: part for part in sorted(parts.values(), key=lambda part: -part.seconds)}


def _name(part: Part) -> str:
    return part.name


def _figure(value: float, digits: str = ".3g") -> str:
    return "" if not value or math.isnan(value) else f"{value:{digits}}"


def _time(part: Part) -> str:
    return f"{ESTIMATED * part.estimated}{duration(part.seconds)}"


def _of_kernel(names: Callable[[KernelPart], Sequence[str]]) -> Callable[[KernelPart], str]:
    def text(kernel: KernelPart) -> str:
        first = names(kernel)
        return f"{first[0]}{f' +{len(first) - 1}' if len(first) > 1 else ''}" if first else ""

    return text


FIGURES: tuple[Column, ...] = (
    ("time", True, _time),
    ("share", True, lambda part: f"{ESTIMATED * part.estimated}{part.share:.1%}"),
    ("GFLOP/s", True, lambda part: _figure(part.gflops)),
    ("GB/s", True, lambda part: _figure(part.gbytes)),
    ("× floor", True, lambda part: _figure(part.over_floor, ".2f")),
    ("bound by", False, lambda part: part.bound),
)
OF_KERNELS: tuple[Column, ...] = (
    ("line", False, _of_kernel(lambda kernel: kernel.lines)),
    ("runs", True, lambda kernel: _figure(kernel.runs, ",.0f")),
)
