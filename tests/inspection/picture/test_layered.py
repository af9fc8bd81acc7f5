"""The layered layout: nothing overlaps, and edges run from the box above to the box below."""

from __future__ import annotations

import itertools
import random

import pytest

from rnngraph.inspection.picture.layered import BELOW, BESIDE, layered


def drawn(seed: int) -> tuple[dict[int, tuple[float, float]], list[tuple[int, int]]]:
    """Draw a graph of boxes in topological order."""
    draw = random.Random(seed)
    count = draw.choice((1, 2, 3, 7, 17, 25, 63))
    sizes = {key: (draw.uniform(20, 400), draw.uniform(10, 200)) for key in range(count)}
    edges = [(source, target) for target in range(count) for source in range(target) if draw.random() < 2 / count]
    return sizes, edges


@pytest.mark.parametrize("seed", range(25))
def test_boxes_do_not_overlap_and_edges_run_down(seed: int) -> None:
    sizes, edges = drawn(seed)
    ports = {key: width * 0.8 for key, (width, _) in sizes.items()}
    layout = layered(sizes, edges, ports)
    for one, (x, y) in layout.places.items():
        assert x >= -1e-6
        assert x + sizes[one][0] <= layout.width + 1e-6
        assert y >= 0
        assert y + sizes[one][1] <= layout.height + 1e-6
        for other, (left, top) in layout.places.items():
            beside = x + sizes[one][0] + BESIDE <= left + 1e-6 or left + sizes[other][0] + BESIDE <= x + 1e-6
            below = y + sizes[one][1] + BELOW <= top + 1e-6 or top + sizes[other][1] + BELOW <= y + 1e-6
            assert one == other or beside or below, (one, other)
    assert layout.routes.keys() == set(edges)
    for (source, target), points in layout.routes.items():
        assert points == sorted(points, key=lambda point: point[1])
        ends = ((source, points[0], sizes[source][1]), (target, points[-1], 0.0))
        for key, (x, y), down in ends:
            left, top = layout.places[key]
            assert y == pytest.approx(top + down)
            assert left - 1e-6 <= x <= left + ports[key] + 1e-6


def test_edges_that_meet_at_a_box_end_at_different_points() -> None:
    sizes = {**dict.fromkeys(range(5), (40.0, 20.0)), 5: (600.0, 20.0)}
    layout = layered(sizes, [(key, 5) for key in range(5)], {key: width for key, (width, _) in sizes.items()})
    ends = sorted(layout.routes[key, 5][-1][0] for key in range(5))
    assert min(after - before for before, after in itertools.pairwise(ends)) > 30


def test_a_ladder_has_no_crossings() -> None:
    """Two chains whose boxes alternate in the declaration are laid out side by side."""
    sizes = dict.fromkeys(range(20), (50.0, 20.0))
    layout = layered(sizes, [(key, key + 2) for key in range(18)], dict.fromkeys(sizes, 50.0))
    sides = [layout.places[key][0] < layout.places[key + 1][0] for key in range(0, 20, 2)]
    assert len(set(sides)) == 1


def test_an_empty_graph_has_an_empty_layout() -> None:
    assert layered({}, [], {}).width == 0
