"""Labels of arrows overlap no other label and no box, and arrows pass beside boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

import declarations
import pytest
from pictured_nets import both_ways, decoder, dropped_stack, own_cells, two_layers_both_ways

import rnngraph as rg
from rnngraph.inspection.picture.arrows import CURVE, Frame, frame_of, label_of, overlap
from rnngraph.inspection.picture.drawing import DETAILS, drawing_of
from rnngraph.inspection.picture.pictures import declared
from rnngraph.inspection.picture.shapes import Drawing, Figure, Line, Rectangle, Text

NETS = (dropped_stack, both_ways, decoder, own_cells, two_layers_both_ways)


def frames_of_boxes(drawn: Drawing, graph: str) -> dict[str, Frame]:
    """Return the frames of all boxes of a graph, by key."""
    return {
        figure.box.key: (shape.x, shape.x + shape.width, shape.y, shape.y + shape.height)
        for figure in drawn.figures
        if figure.graph == graph and figure.box is not None and isinstance(shape := figure.shapes[0], Rectangle)
    }


def labels_of(figure: Figure) -> list[Frame]:
    return [frame_of(shape) for shape in figure.shapes if isinstance(shape, Text) and shape.style == "label"]


def points_of(line: Line) -> Iterator[tuple[float, float]]:
    """Yield points of the curves of an arrow."""
    for (x, y), (beyond, below) in pairwise(line.points):
        for across, down in CURVE:
            yield x + across * (beyond - x), y + down * (below - y)


def check_labels(drawn: Drawing) -> int:
    """Check that no label overlaps another one, a box, or the edge of the picture. Return the number of labels."""
    count = 0
    for graph in ("training", "inference"):
        boxes = frames_of_boxes(drawn, graph)
        outer = {key: frame for key, frame in boxes.items() if "." not in key}
        arrows = [figure for figure in drawn.figures if figure.graph == graph and figure.source]
        labels = [frame for figure in arrows for frame in labels_of(figure)]
        assert not any(overlap(one, other) for one, other in combinations(labels, 2))
        assert not any(overlap(label, box) for label in labels for box in outer.values())
        assert all(label[0] >= 0 and label[1] <= drawn.width for label in labels)
        for figure in arrows:
            own = {figure.source, figure.target}
            points = [point for shape in figure.shapes if isinstance(shape, Line) for point in points_of(shape)]
            for key, (left, right, top, bottom) in outer.items():
                inside = [(x, y) for x, y in points if left < x < right and top < y < bottom]
                assert not inside or key in own, (figure.source, figure.target, key)
        for figure in drawn.figures:  # labels between boxes within a box
            if figure.box is not None and figure.graph == graph:
                for label in labels_of(figure):
                    inner = [frame for key, frame in boxes.items() if key.startswith(f"{figure.box.key}.")]
                    assert not any(overlap(label, frame) for frame in inner)
                    labels.append(label)
        count += len(labels)
    return count


def labels_on_arrows(drawn: Drawing) -> list[tuple[str, str]]:
    """Return labels that another arrow crosses, with its source."""
    crossed: list[tuple[str, str]] = []
    for graph in ("training", "inference"):
        arrows = [figure for figure in drawn.figures if figure.graph == graph and figure.source]
        texts = [shape for figure in arrows for shape in figure.shapes if isinstance(shape, Text)]
        for figure in arrows:
            points = [point for shape in figure.shapes if isinstance(shape, Line) for point in points_of(shape)]
            for text in texts:
                left, right, top, bottom = frame_of(text)
                if any(left < x < right and top < y < bottom for x, y in points):
                    crossed.append((text.text, figure.source))
    return crossed


@pytest.mark.parametrize("make", NETS)
def test_labels_overlap_nothing(make: Callable[[], rg.Program]) -> None:
    declaration = declared(make().parts.source)
    for detail in DETAILS:
        drawn = drawing_of(declaration, "both", detail)
        assert check_labels(drawn) > 1
        assert labels_on_arrows(drawn) == []
    assert check_labels(drawing_of(declaration, "both", "equations", True)) > 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_labels_of_random_nets_overlap_nothing(part: int) -> None:
    for seed in range(40 * part, 40 * (part + 1)):
        declaration = declared(declarations.declare(seed).compile(cache=False).parts.source)
        for detail in DETAILS:
            check_labels(drawing_of(declaration, "both", detail))


def test_many_arrows_between_two_layers_have_room() -> None:
    """Labels fit between two layers with eight arrows that cross each other."""
    x = rg.placeholder("x", (None, 160))
    parts = [rg.tanh(part) for part in rg.split(x, 8)]
    ends = [
        rg.sigmoid(parts[7]),
        rg.sigmoid(parts[6]),
        rg.sigmoid(parts[5]),
        rg.sigmoid(parts[4]),
        rg.sigmoid(parts[3]),
        rg.sigmoid(parts[2]),
        rg.sigmoid(parts[1]),
        rg.sigmoid(parts[0]),
    ]
    declaration = declared(rg.compile(dict(zip("abcdefgh", ends, strict=True)), cache=False).parts.source)
    assert check_labels(drawing_of(declaration, "both", "equations")) > 10


def test_a_straight_arrow_has_its_label_on_the_right() -> None:
    line = Line(((500.0, 222.0), (500.0, 255.0)), "arrow")
    assert label_of(line, "[T, B, 32]") == Text(506, 242.5, "[T, B, 32]", "label")
