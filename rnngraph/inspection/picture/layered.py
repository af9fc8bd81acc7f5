"""Layered layout of boxes that depend on each other, from the top down.

K. Sugiyama et al., *Methods for visual understanding of hierarchical system structures*, 1981: layers by longest paths,
orders by barycenters, positions by least squares.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Key = Hashable
Edge = tuple[Key, Key]
Point = tuple[float, float]

BESIDE, BELOW, DUMMY = 28.0, 46.0, 10.0
"""In pixels: space between boxes of a layer, space between layers, and width of an edge that crosses a layer."""

PORT_SPACING = 76.0
"""Pixels between edges at one box, if it is wide enough, to fit labels."""

ORDER_SWEEPS, PLACE_SWEEPS = 12, 12


@dataclass(frozen=True)
class Layout:
    """Arrangement of boxes and edges.

    Attributes:
        places: Upper left corner of each box.
        routes: Points of each edge: its source, the bottom of the source's layer, and then in turn the top and the
            bottom of a layer. An edge leaves its column only between layers, where no box is.
        width, height: Total size.
        bottoms: Bottom of each layer.
    """

    places: dict[Key, Point]
    routes: dict[Edge, list[Point]]
    width: float
    height: float
    bottoms: tuple[float, ...]


def layered(
    sizes: Mapping[Any, tuple[float, float]],
    edges: Sequence[tuple[Any, Any]],
    ports: Mapping[Any, float],
    wider: Mapping[int, float] | None = None,
) -> Layout:
    """Arrange boxes in layers from top to bottom. Return positions of the boxes and points of the edges.

    Args:
        sizes: (width, height) of each box, in topological order.
        edges: (source, target) as keys.
        ports: Width of each box, from its left, at which edges may end.
        wider: Pixels by which the gap below a layer is higher than ``BELOW``, by layer.
    """
    edges = [*dict.fromkeys((source, target) for source, target in edges if source != target)]
    ranks = _ranks([*sizes], edges)
    chains = {edge: _chain(edge, ranks) for edge in edges}
    wide = {key: size[0] for key, size in sizes.items()}
    rows: list[list[Key]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for key in sizes:
        rows[ranks[key]].append(key)
    for chain in chains.values():
        for dummy in chain[1:-1]:
            assert isinstance(dummy, tuple)
            rows[dummy[-1]].append(dummy)
            wide[dummy] = DUMMY
    below: dict[Key, list[Key]] = {key: [] for row in rows for key in row}
    above: dict[Key, list[Key]] = {key: [] for row in rows for key in row}
    for chain in chains.values():
        for upper, lower in pairwise(chain):
            below[upper].append(lower)
            above[lower].append(upper)
    rows = _order_layers(rows, above, below)
    centres = _centres(rows, wide, above, below)
    left = min((centres[key] - wide[key] / 2 for key in centres), default=0.0)
    heights = [max((sizes[key][1] for key in row if key in sizes), default=0.0) for row in rows]
    gaps = [BELOW + (wider or {}).get(number, 0.0) for number in range(len(rows))]
    tops = [sum(heights[:number]) + sum(gaps[:number]) for number in range(len(rows))]
    bottoms = tuple(top + height for top, height in zip(tops, heights, strict=True))
    places = {key: (centres[key] - wide[key] / 2 - left, tops[ranks[key]]) for key in sizes}
    starts, ends = _port_places(chains, places, ports, {key: centre - left for key, centre in centres.items()})
    routes: dict[Edge, list[Point]] = {}
    for edge, chain in chains.items():
        source, target = edge
        points = [(starts[edge], places[source][1] + sizes[source][1]), (starts[edge], bottoms[ranks[source]])]
        for key in chain[1:-1]:
            assert isinstance(key, tuple)
            at, rank = centres[key] - left, key[-1]
            points += [(at, tops[rank]), (at, bottoms[rank])]
        routes[edge] = [*points, (ends[edge], places[target][1])]
    right = max((centres[key] + wide[key] / 2 - left for key in centres), default=0.0)
    return Layout(places, routes, right, bottoms[-1] if rows else 0.0, bottoms)


def _ranks(keys: Sequence[Key], edges: Sequence[Edge]) -> dict[Key, int]:
    """Return the number of each box's layer, counted from the top. It is below all boxes on which the box depends.

    Boxes that depend on nothing are directly above their first user.
    """
    before: dict[Key, list[Key]] = {key: [] for key in keys}
    after: dict[Key, list[Key]] = {key: [] for key in keys}
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    ranks: dict[Key, int] = {}
    for key in keys:
        ranks[key] = max((ranks[other] + 1 for other in before[key]), default=0)
    for key in reversed(keys):
        if not before[key] and after[key]:
            ranks[key] = min(ranks[other] for other in after[key]) - 1
    return ranks


def _chain(edge: Edge, ranks: Mapping[Key, int]) -> list[Key]:
    """Return an edge as keys of adjacent layers: its ends, and a placeholder in each layer between."""
    source, target = edge
    return [source, *((*edge, rank) for rank in range(ranks[source] + 1, ranks[target])), target]


def _order_layers(
    rows: list[list[Key]], above: Mapping[Key, list[Key]], below: Mapping[Key, list[Key]]
) -> list[list[Key]]:
    """Return the layers, each sorted so that few edges cross: by the mean position of a box's neighbours."""
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(ORDER_SWEEPS):
        if not fewest:
            break
        rows = [[*row] for row in rows]
        downward = sweep % 2 == 0
        near = above if downward else below
        numbers = range(1, len(rows)) if downward else range(len(rows) - 2, -1, -1)
        for number in numbers:
            other = {key: place for place, key in enumerate(rows[number - 1 if downward else number + 1])}
            here = {key: place for place, key in enumerate(rows[number])}
            mean = {key: _mean([other[item] for item in near[key]], here[key]) for key in here}
            rows[number].sort(key=mean.__getitem__)
        count = _crossings(rows, below)
        if count < fewest:
            best, fewest = rows, count
    return best


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(rows: Sequence[Sequence[Key]], below: Mapping[Key, list[Key]]) -> int:
    """Return the number of pairs of edges that cross between adjacent layers."""
    count = 0
    for upper, lower in pairwise(rows):
        places = {key: place for place, key in enumerate(lower)}
        ends = [end for key in upper for end in sorted(places[item] for item in below[key])]
        tree = [0] * (len(lower) + 1)
        for passed, end in enumerate(ends):
            at, smaller = end + 1, 0
            while at:
                smaller, at = smaller + tree[at], at & (at - 1)
            count += passed - smaller
            at = end + 1
            while at <= len(lower):
                tree[at] += 1
                at += at & -at
    return count


def _centres(
    rows: Sequence[Sequence[Key]],
    wide: Mapping[Key, float],
    above: Mapping[Key, list[Key]],
    below: Mapping[Key, list[Key]],
) -> dict[Key, float]:
    """Return the horizontal center of each box, as near to its neighbours' as order and widths allow."""
    centres: dict[Key, float] = {}
    for row in rows:
        at = 0.0
        for key in row:
            centres[key] = at + wide[key] / 2
            at += wide[key] + BESIDE
    for sweep in range(PLACE_SWEEPS):
        downward = sweep % 2 == 0
        for row in rows if downward else reversed(rows):
            near = above if downward else below
            wanted = [_mean([centres[other] for other in near[key]], centres[key]) for key in row]
            centres.update(zip(row, _separate(wanted, [wide[key] for key in row]), strict=True))
    return centres


def _separate(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return the positions nearest to ``wanted`` at which items of these widths do not overlap, in order.

    This is an isotonic regression by pooling neighbours.
    """
    offsets, at = [], 0.0
    for number, width in enumerate(widths):
        at += (widths[number - 1] + width) / 2 + BESIDE if number else 0.0
        offsets.append(at)
    means = _rising([place - offset for place, offset in zip(wanted, offsets, strict=True)])
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _rising(wanted: Sequence[float]) -> list[float]:
    """Return the nondecreasing numbers that are nearest to ``wanted``."""
    pools: list[tuple[float, int]] = []  # mean, count
    for place in wanted:
        mean, count = place, 1
        while pools and pools[-1][0] > mean:
            other, size = pools.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        pools.append((mean, count))
    return [mean for mean, count in pools for _ in range(count)]


def _port_places(
    chains: Mapping[Edge, Sequence[Key]],
    places: Mapping[Key, Point],
    ports: Mapping[Any, float],
    middles: Mapping[Key, float],
) -> tuple[dict[Edge, float], dict[Edge, float]]:
    """Return two dicts: the horizontal position of each edge's start at its source, and of its end at its target.

    Edges are straight if possible, and keep a distance from each other.
    """
    wanted: list[dict[Edge, float]] = [{}, {}]
    for edge, chain in chains.items():
        narrow = min(edge, key=lambda key: ports[key])
        straight = places[narrow][0] + ports[narrow] / 2
        wanted[0][edge] = middles[chain[1]] if len(chain) > 2 else straight
        wanted[1][edge] = middles[chain[-2]] if len(chain) > 2 else straight
    places_of: list[dict[Edge, float]] = [{}, {}]
    for end in (0, 1):
        of_box: dict[Key, list[Edge]] = {}
        for edge in chains:
            of_box.setdefault(edge[end], []).append(edge)
        for box, edges in of_box.items():
            margin = min(14.0, ports[box] / 2)
            low, high = places[box][0] + margin, places[box][0] + ports[box] - margin
            edges.sort(key=lambda edge: (wanted[end][edge], middles[edge[1 - end]]))
            spacing = min(PORT_SPACING, (high - low) / max(1, len(edges) - 1))
            rising = _rising([wanted[end][edge] - spacing * number for number, edge in enumerate(edges)])
            last = high - spacing * (len(edges) - 1)
            for number, (edge, place) in enumerate(zip(edges, rising, strict=True)):
                places_of[end][edge] = min(max(place, low), last) + spacing * number
    return places_of[0], places_of[1]
