"""Floors and their descriptions, on a machine with fixed limits."""

from __future__ import annotations

import pytest

import rnngraph as rg
from rnngraph.codegen.loop_ir.nodes import Buffer
from rnngraph.codegen.machine.target import host, target_of
from rnngraph.codegen.schedule.emit.ticks import WORK, Timed
from rnngraph.inspection.profile.floors import bound_of, floor_of
from rnngraph.inspection.profile.limits import Limits, function_seconds
from rnngraph.inspection.profile.work import Products, Work, necessary
from rnngraph.ir.graph import Node, make
from rnngraph.ir.types import TensorType


class GivenLimits(Limits):
    """Machine with 100 GFLOP/s, 10 GB/s, 1 ns for each function and 4 GHz."""

    def __init__(self) -> None:
        super().__init__(target_of("x86-64-v3"))

    def flops(self, dtype: str = "float32") -> float:
        return 100e9 if dtype == "float32" else 50e9

    @property
    def wait(self) -> float:
        return 1e-9

    def read(self, count: int) -> float:
        return 10e9

    def seconds(self, op: str, dtype: str) -> float:
        return 1e-9 if op == "tanh" else 1e-11


LIMITS = GivenLimits()


def value(op: str = "input") -> Node:
    x = make("input", type=TensorType("float32", (4, 8)), label="x")
    return x if op == "input" else make(op, x)


def product(flops: float, weights: int) -> Products:
    return Products(value(), flops, weights)


@pytest.mark.parametrize(
    ("work", "seconds", "words"),
    [
        (Work(products=(product(1e6, 1000),)), 1e-5, "multiply-adds"),
        (Work(runs=10, products=(product(1e3, 30_000),)), 3e-5, "weights stream from L1"),
        (Work(runs=10, products=(product(1e3, 100_000),)), 1e-4, "weights stream from L2"),
        (Work(elements=((value("tanh"), 1000),)), 1e-6, "functions: tanh"),
        (Work(elements=((value("neg"), 1000),)), 1e-8, "elementwise arithmetic"),
        (
            Work(elements=((value("neg"), 1000),), transfers=((value("neg"), 8000),)),
            8e-7,
            "reads and writes, L1",
        ),
        (Work(runs=4, share=0.5, products=(product(1e6, 0),)), 2e-5, "multiply-adds"),
    ],
)
def test_the_floor_is_the_longest_lower_bound(work: Work, seconds: float, words: str) -> None:
    floor = floor_of(work, LIMITS, work.weights, True)
    assert floor.seconds == pytest.approx(seconds)
    assert floor.largest == words
    assert bound_of(floor, 1.2 * seconds, work, Timed(WORK, (value(),)), LIMITS) == words


def test_values_between_kernels_are_not_in_the_floor() -> None:
    fed, returned, between = (Buffer(name, "float32") for name in ("fed", "given", "between"))
    once, again = value("tanh"), value("neg")
    works = [
        Work(elements=((once, 10),), transfers=((once, 140),), places=((fed, 40), (between, 100))),
        Work(
            elements=((once, 10), (again, 5)),
            transfers=((again, 180),),
            places=((fed, 40), (between, 100), (returned, 40)),
        ),
    ]
    first, second = necessary(works, {fed, returned})
    assert (first.moved, second.moved) == (40, 40)
    assert (first.elements, second.elements) == (((once, 10),), ((again, 5),))


def test_kernels_far_from_their_floor_are_marked_as_waiting() -> None:
    work = Work(runs=100, elements=((value("tanh"), 100),))
    floor, scan = floor_of(work, LIMITS, 0, False), Timed(WORK, (value(),), scan=value())
    assert bound_of(floor, 3 * floor.seconds, work, scan, LIMITS) == "waits for the step before: 800 of 1200 cycles"
    once = Work(elements=work.elements)
    floor = floor_of(once, LIMITS, 0, False)
    assert bound_of(floor, 4e-7, once, Timed(WORK, (value(),)), LIMITS) == "short: 400 ns"


def test_a_machine_has_limits() -> None:
    """Measured limits are positive, and in the order that holds on every machine."""
    limits = Limits(host(), repeats=1)
    assert limits.flops() > 1e8
    assert limits.read(1) > 1e7
    assert limits.clock > 1e7
    assert limits.level(100) == "L1"
    assert limits.level(1 << 40) == "memory"
    assert all(limits.seconds(op, "float64") > 0 for op in ("add", "random_uniform"))


@pytest.mark.parametrize("op", ["tanh", "div", "random_uniform"])
def test_functions_are_measured_as_compiled_code(op: str) -> None:
    assert 0 < function_seconds(op, "float32", host(), 1) < 1e-3


def test_users_can_name_the_class() -> None:
    assert rg.Profile.__name__ == "Profile"
