"""Profile: times of calls by layer, kernel, phase and line. It prints as tables, also in notebooks, and plots."""

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
from .breakdown import KernelPart, Part, common_path, grouped, layer_of, line_of, phase_of, unowned
from .limits import Limits
from .page import Column, Titled, html_of
from .picture import picture_of, png_of, svg_of

WIDTH = 160
"""Columns of text without a terminal."""
SMALL = 0.01
"""Share below which kernels are combined in one row."""
ESTIMATED = "~"
"""Prefix of figures that are estimated by the cost model, not measured."""


PICTURES = (".svg", ".png")
"""Suffixes of a profile's pictures."""

_PLAIN_RULE = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""``box.SIMPLE_HEAD`` in ASCII."""


@dataclass(frozen=True, eq=False)
class Profile(Telling, Mapping[str, Part]):
    """Times of a graph's calls: a mapping from layer to ``Part``, in descending order of time.

    Attributes:
        graph: ``inference``, ``training`` or ``step``.
        sizes: Sizes of the calls, by name.
        kernels: Kernels in execution order.
        seconds: Seconds of an average call in native code. Shares in the tables are parts of it.
        python: Seconds of a call outside native code.
        ratio: ``seconds`` plus ``python``, divided by the time of a call without counters: near 1 if these cost little.
        calls: Number of counted calls.
        workers: Number of workers.
        limits: Maximum rates of this machine.
        weights: Number format of each parameter in these calls, if ``weights=`` asked for narrow ones.
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
        """Parts by layer. Names in parentheses stand for time outside layers."""
        return _ordered(grouped(self.kernels, layer_of))

    @cached_property
    def phases(self) -> dict[str, Part]:
        """Parts by ``forward``, ``backward`` and ``update``. Names in parentheses stand for time outside of these."""
        return _ordered(grouped(self.kernels, phase_of))

    @cached_property
    def lines(self) -> dict[str, Part]:
        """Parts by line of the script, such as ``net.py:12``."""
        return _ordered(grouped(self.kernels, line_of))

    @property
    def floor(self) -> float:
        """Minimum seconds of these kernels on this machine with as many workers, without Python."""
        return sum(kernel.floor for kernel in self.kernels)

    @property
    def unowned(self) -> float:
        """Share of native time without a line of the script."""
        return unowned(self.kernels)

    @property
    def call(self) -> float:
        """Seconds of a call without counters."""
        return (self.seconds + self.python) / self.ratio

    # Text ----------------------------------------------------------------------------------------

    def headline(self) -> str:
        """Return a summary of the profiled call in a line or two: its time, and the parts in native code and Python."""
        sizes = ", ".join(f"{name} = {value}" for name, value in self.sizes.items())
        outside = self.python / ((self.python + self.seconds) or 1.0)
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        return (
            f"{self.graph}{f' with {sizes}' if sizes else ''}: {duration(self.call)} a call{workers}; "
            f"{duration(self.seconds)} in native code, {duration(self.python)} in Python ({outside:.1%}). "
            f"Floor here: {duration(self.floor)}. "
            f"{self.calls:,} calls counted; {self.unowned:.1%} of native time belongs to no line."
            f"{f' Weights: {self.weights}.' if self.weights else ''}"
        )

    def tables(self) -> Iterator[Titled]:
        """Yield (title, columns, rows) of the tables of layers, kernels, passes and lines."""
        yield "layers", [("layer", False, _name), *FIGURES], [*self.layers.values()]
        passes = [("pass", False, _of_kernel(lambda kernel: kernel.phases))] if self._has_passes else []
        around = common_path(self.layers)
        layer = "layer", False, _of_kernel(lambda kernel: [name.removeprefix(around) for name in kernel.layers])
        yield "kernels", [("kernel", False, _name), layer, *OF_KERNELS, *passes, *FIGURES], self._shown_kernels()
        if self._has_passes:
            yield "passes", [("pass", False, _name), *FIGURES], [*self.phases.values()]
        yield "lines", [("line", False, _name), *FIGURES], [*self.lines.values()]

    @property
    def _has_passes(self) -> bool:
        return len([name for name in self.phases if not name.startswith("(")]) > 1

    def _shown_kernels(self) -> list[KernelPart]:
        """Return all kernels, the longest first, with small ones combined in a row at the end."""
        large = sorted((kernel for kernel in self.kernels if kernel.share >= SMALL), key=lambda kernel: -kernel.share)
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
        # forced, because in a notebook rich would display the text instead of returning it
        console = Console(file=file, width=width, highlight=False, color_system=None, force_jupyter=False)
        self.print_to(console)
        return file.getvalue().rstrip()

    __repr__ = __str__

    def print_to(self, console: Console) -> None:
        """Print headline and tables to a console of rich."""
        console.print(self.headline(), markup=False, soft_wrap=True)
        self.print_tables(console, ("layers", "kernels", "passes", "lines"))

    def print_tables(self, console: Console, only: Sequence[str]) -> None:
        """Print the tables whose titles are in ``only``."""
        for title, columns, parts in self.tables():
            if title in only:
                table = Table(box=_head_rule(), pad_edge=False)
                for heading, right, _ in columns:
                    table.add_column(heading, justify="right" if right else "left", no_wrap=right, overflow="fold")
                for part in parts:
                    table.add_row(*(escape(text(part)) for _, _, text in columns))
                console.print(table)
        if any(part.estimated for part in (*self.layers.values(), *self.lines.values())):
            console.print(
                f"{ESTIMATED} estimated: the cost model divides a kernel's time between its lines and layers",
                markup=False,
            )

    def _repr_html_(self) -> str:
        return html_of(self.headline(), self.tables())

    @api
    def plot(self, path: str | os.PathLike[str] | None = None) -> str:
        """Draw the machine's roofline with a dot for each layer, and bars of the layers' times.

        Args:
            path: File to write, ``.svg``, or with matplotlib ``.png``. None: write no file.

        Returns:
            The picture as SVG.

        Raises:
            ArgumentError: The file has another suffix.
            MissingExtraError: A ``.png`` needs matplotlib.
        """
        target, picture = None if path is None else as_path(path), picture_of([*self.layers.values()], self.limits)
        text, kind = svg_of(picture), ".svg" if target is None else target.suffix.lower()
        if kind not in PICTURES:
            raise ArgumentError(
                f"can't plot {kind or 'a file without suffix'}; give a path that ends in {' or '.join(PICTURES)}"
            )
        if target is not None:
            data = text.encode() if kind == ".svg" else png_of(picture)
            with replace_file(target) as file:
                file.write(data)
        return text


def duration(seconds: float) -> str:
    """Return seconds as text in a suitable unit, such as ``3.2 ms``."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}" if seconds < 1000 * factor else f"{seconds / factor:,.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _head_rule() -> box.Box:
    """Return the line below a table's head: in ASCII if standard output cannot encode others, as in Windows' pipes."""
    try:
        str(box.SIMPLE_HEAD).encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return _PLAIN_RULE
    return box.SIMPLE_HEAD


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
