"""Profile as a picture: the machine's roofline with a dot for each layer, and bars of layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..surface.png import PngSurface
from ..surface.surface import Paint, Surface
from ..surface.svg import SvgSurface
from .breakdown import Part, common_path
from .limits import Limits

WIDTH, TOP, ROOF, MARGIN = 760, 92, 330, 56
"""In pixels: width of the picture, top and bottom of the roofline plot, and margin."""
BAR, THICK = 34, 10
"""Height in pixels of a bar including its text, and of the bar alone."""
MAX_NAME = 100
"""Maximum characters of a name beside a bar. Longer names lose their beginning, because layers differ at the end."""
OPACITY = 0.7
"""Opacity of dots, which may overlap."""
ROOM = 0.12
"""Margin between the drawn values and the ends of an axis, in powers of ten."""
SMALL = 0.01
"""Share below which a layer has no bar or label of its own."""
MAX_LABEL, TEXT, CHARACTER, MAX_FAR = 34, 14, 7.0, 9
"""Labels of dots: maximum characters, height and width of a character in pixels, and maximum distance in lines."""
SLOPE = "#666"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a5fb0", "#707070")
"""Colours of Okabe and Ito, which colour-blind people tell apart, and two more."""


@dataclass(frozen=True)
class Text:
    """One line of text. ``anchor`` is the part of its baseline at (x, y), as in SVG."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    colour: str = "#333"


@dataclass(frozen=True)
class Line:
    """A straight line of ``width`` pixels."""

    x: float
    y: float
    to_x: float
    to_y: float
    colour: str
    width: float = 1.0


@dataclass(frozen=True)
class Dot:
    """A disk, whose title is shown under the pointer."""

    x: float
    y: float
    radius: float
    colour: str
    title: str


@dataclass(frozen=True)
class Bar:
    """A bar that starts at the left margin; ``y`` is its upper edge."""

    y: float
    width: float
    colour: str
    opacity: float


Mark = Text | Line | Dot | Bar


@dataclass(frozen=True)
class Picture:
    """Marks in drawing order, ``WIDTH`` by ``height`` pixels."""

    marks: tuple[Mark, ...]
    height: int


def picture_of(layers: Sequence[Part], limits: Limits) -> Picture:
    """Return a profile's picture: a roofline plot with a dot for each layer, and bars of the layers' times."""
    scales, bars = _scales(layers, limits), _shown(layers)
    marks = (*_axes(scales), *_roofs(limits, scales), *_dots(layers, scales), *_bars(bars, ROOF + 2 * MARGIN))
    return Picture(marks, ROOF + BAR * len(bars) + 3 * MARGIN)


def svg_of(picture: Picture) -> str:
    """Return a profile's picture as SVG text."""
    surface = SvgSurface()
    _draw(surface, picture)
    size = f'width="{WIDTH}" height="{picture.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {picture.height}" {size} '
        'font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="white"/>',
        *surface.lines,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def png_of(picture: Picture) -> bytes:
    """Return the picture as PNG. Raise ``MissingExtraError`` without matplotlib."""
    surface = PngSurface(WIDTH, picture.height)
    _draw(surface, picture)
    return surface.bytes()


def _draw(surface: Surface, picture: Picture) -> None:
    """Draw a profile's picture on a surface."""
    for mark in picture.marks:
        if isinstance(mark, Text):
            surface.text(float(mark.x), float(mark.y), mark.text, Paint(fill=mark.colour), mark.anchor)
        elif isinstance(mark, Line):
            ends = (float(mark.x), float(mark.y)), (float(mark.to_x), float(mark.to_y))
            surface.segment(*ends, Paint(line=mark.colour, width=mark.width))
        elif isinstance(mark, Dot):
            paint = Paint(fill=mark.colour, opacity=OPACITY)
            surface.disk(float(mark.x), float(mark.y), float(mark.radius), paint, mark.title)
        else:
            paint = Paint(fill=mark.colour, opacity=mark.opacity)
            surface.rectangle(MARGIN, float(mark.y), float(mark.width), THICK, paint)


@dataclass(frozen=True)
class Scales:
    """Logarithmic axes: the lowest and highest operations per byte and GFLOP/s, as powers of ten."""

    intensity: tuple[float, float]
    rate: tuple[float, float]

    def x(self, intensity: float) -> float:
        return MARGIN + _share(intensity, self.intensity) * (WIDTH - 2 * MARGIN)

    def y(self, rate: float) -> float:
        return TOP + (1 - _share(rate, self.rate)) * (ROOF - TOP)


def _share(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(1.0, (math.log10(max(value, 10.0**low)) - low) / (high - low))


def _scales(layers: Sequence[Part], limits: Limits) -> Scales:
    """Return the roofline plot's axes, which hold all layers, the peak, and the points where cache reads reach it."""
    peak = limits.flops() / 1e9
    known = [part for part in layers if part.flops and part.bytes and part.seconds]
    knees = [peak / rate for _, rate in _reads(limits)]
    return Scales(
        _bounds([*knees, *(part.flops / part.bytes for part in known)]),
        _bounds([peak, *(part.gflops for part in known)]),
    )


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Return bounds around values, as powers of ten. They have a margin on both sides and span at least a decade."""
    low, high = math.log10(min(values)) - ROOM, math.log10(max(values)) + ROOM
    missing = max(0.0, 1.0 - (high - low))
    return low - missing, high


def _reads(limits: Limits) -> Iterator[tuple[str, float]]:
    """Yield (name of a cache, GB/s of reads from it)."""
    target = limits.target
    for size in (target.first_cache // 2, target.second_cache // 2, 4 * target.second_cache):
        yield limits.level(size), limits.read(size) / 1e9


def _ticks(bounds: tuple[float, float]) -> Iterator[float]:
    """Yield 1, 2 and 5 times powers of ten within bounds, or only powers if the bounds span three decades."""
    low, high = bounds
    for power in range(math.floor(low), math.ceil(high) + 1):
        for step in (1.0, 2.0, 5.0) if high - low < 3 else (1.0,):
            if low <= math.log10(step * 10.0**power) <= high:
                yield step * 10.0**power


def _axes(scales: Scales) -> Iterator[Mark]:
    """Yield the grid lines and labels of the roofline plot's axes."""
    left, right, bottom = MARGIN, WIDTH - MARGIN, ROOF
    for tick in _ticks(scales.intensity):
        yield Line(scales.x(tick), bottom, scales.x(tick), TOP, "#e4e4e4")
        yield Text(scales.x(tick), bottom + 16, f"{tick:g}", "middle")
    for tick in _ticks(scales.rate):
        yield Line(left, scales.y(tick), right, scales.y(tick), "#e4e4e4")
        yield Text(left - 6, scales.y(tick) + 4, f"{tick:g}", "end")
    yield Text(WIDTH / 2, ROOF + 34, "operations for each byte that is read or written", "middle")
    yield Text(8, TOP - 12, "GFLOP/s")


def _roofs(limits: Limits, scales: Scales) -> Iterator[Mark]:
    """Yield the roofline's lines and labels: maximum multiply-add rate, and the rates that reads from caches allow."""
    peak = limits.flops() / 1e9
    yield Line(MARGIN, scales.y(peak), WIDTH - MARGIN, scales.y(peak), "#333", 1.5)
    yield Text(WIDTH - MARGIN, scales.y(peak) - 6, f"one core: {peak:.0f} GFLOP/s", "end")
    for number, (name, rate) in enumerate(_reads(limits)):
        begin = max(10.0 ** scales.intensity[0], 10.0 ** scales.rate[0] / rate)
        knee, above = scales.x(peak / rate), scales.y(peak) - 6 - TEXT * (3 - number)
        yield Line(scales.x(begin), scales.y(begin * rate), knee, scales.y(peak), SLOPE)
        yield Line(knee, scales.y(peak), knee, above - 8, "#bbb")
        is_left = knee < WIDTH / 2
        place = (knee + 4, "start") if is_left else (knee - 4, "end")
        yield Text(place[0], above, f"{name}: {rate:.0f} GB/s", place[1], SLOPE)


def _dots(layers: Sequence[Part], scales: Scales) -> Iterator[Mark]:
    """Yield a dot in the roofline plot for each layer, and the names of large layers."""
    dots: list[tuple[Part, Dot]] = []
    for number, part in enumerate(layers):
        if part.flops and part.bytes:
            rate = f"{part.gflops:.3g} GFLOP/s" if part.seconds else "too short to be timed"
            title = f"{part.name}: {rate}, {part.share:.1%}"
            place = scales.x(part.flops / part.bytes), scales.y(part.gflops)
            dots.append((part, Dot(*place, 4 + 10 * math.sqrt(part.share), _colour(number), title)))
    yield from (dot for _, dot in dots)
    with_path = [part.name for part in layers if "/" in part.name]
    around = common_path(with_path) if len(with_path) > 1 else ""
    occupied = [(dot.x - dot.radius, dot.x + dot.radius, dot.y - dot.radius, dot.y + dot.radius) for _, dot in dots]
    for part, dot in dots:
        if part.share >= SMALL:
            name = part.name.removeprefix(around)
            yield from _label(dot, name if len(name) <= MAX_LABEL else f"…{name[1 - MAX_LABEL :]}", occupied)


def _label(dot: Dot, name: str, occupied: list[tuple[float, float, float, float]]) -> Iterator[Mark]:
    """Yield a dot's name at the nearest free place, with a line if it is far from the dot; nothing without room.

    Args:
        dot: The dot.
        name: Its name.
        occupied: Left, right, top and bottom of dots and names; receives that of the name.
    """
    wide, frame = CHARACTER * len(name), (0.0, 0.0, 0.0, 0.0)
    for far in range(MAX_FAR):
        for down in dict.fromkeys((far * TEXT, -far * TEXT)):
            for is_left in (dot.x + wide > WIDTH - MARGIN, dot.x + wide <= WIDTH - MARGIN):
                left = dot.x - dot.radius - 6 - wide if is_left else dot.x + dot.radius + 6
                frame = left, left + wide, dot.y + down - TEXT / 2, dot.y + down + TEXT / 2
                is_inside = frame[0] > MARGIN and frame[1] < WIDTH - MARGIN / 2 and frame[2] > TOP and frame[3] < ROOF
                if is_inside and not any(_overlap(frame, other) for other in occupied):
                    occupied.append(frame)
                    if down:
                        end = frame[1] if is_left else frame[0]
                        yield Line(dot.x, dot.y, end, dot.y + down, "#999")
                    yield Text(left, dot.y + down + 4, name, "start", "#333")
                    return


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _shown(layers: Sequence[Part]) -> list[Part]:
    """Return the layers to draw, with those of a share below ``SMALL`` merged into one."""
    large, small = ([part for part in layers if (part.share >= SMALL) is is_large] for is_large in (True, False))
    if len(small) < 2:
        return [*layers]
    seconds, share, floor = (sum(getattr(part, name) for part in small) for name in ("seconds", "share", "floor"))
    return [*large, Part(f"{len(small)} others", seconds, share, 0.0, 0.0, 0.0, floor, "")]


def _bars(layers: Sequence[Part], top: float) -> Iterator[Mark]:
    """Yield a bar for each layer's share of the time. Its darker part is the machine's minimum time for the layer."""
    room = WIDTH - 2 * MARGIN
    yield Text(MARGIN, top - 8, "share of native time; dark: what the floor of this machine would take")
    for number, part in enumerate(layers):
        y = top + number * BAR
        label = f"  {part.share:.1%}  {part.bound}"
        name = part.name if len(part.name + label) <= MAX_NAME else f"…{part.name[len(label) + 1 - MAX_NAME :]}"
        yield Text(MARGIN, y + 16, f"{name}{label}")
        yield Bar(y + 20, max(0.5, room * part.share), _colour(number), 0.35)
        if part.floor and part.seconds:
            least = room * part.share * min(1.0, part.floor / part.seconds)
            yield Bar(y + 20, max(0.5, least), _colour(number), 1.0)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
