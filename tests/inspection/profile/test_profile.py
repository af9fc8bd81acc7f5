"""Profiles are consistent, name layers and lines, have no side effects, and compute what calls compute. Times are not
tested.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from declaration_checks import flat
from numpy.testing import assert_array_equal
from profiled_nets import NETS, ProfiledNet, array, trained

import rnngraph as rg
from rnngraph.codegen.schedule.emit.ticks import REST, WAIT
from rnngraph.inspection.profile import measure
from rnngraph.inspection.profile.picture import Dot, Text, picture_of
from rnngraph.inspection.profile.profile import Profile
from rnngraph.runtime.calls.direct_call import CALLS_UNTIL_DIRECT
from rnngraph.runtime.calls.entry_blocks import run_once
from rnngraph.runtime.calls.results import Result
from rnngraph.runtime.calls.runner import Runner
from rnngraph.runtime.direct.direct_code import DIRECT
from rnngraph.runtime.native import adaptive_threads
from rnngraph.runtime.native import entry as native

SECONDS = 0.01


def checked(profile: Profile) -> Profile:
    """Check that sums and names of a profile are consistent."""
    for parts in (profile.layers, profile.phases, profile.lines):
        assert math.isclose(sum(part.share for part in parts.values()), 1.0)
        assert math.isclose(sum(part.seconds for part in parts.values()), profile.seconds)
    assert math.isclose(sum(kernel.share for kernel in profile.kernels), 1.0)
    for kernel in profile.kernels:
        assert math.isclose(sum(piece.share for piece in kernel.pieces), 1.0)
        assert kernel.seconds >= 0
        assert kernel.floor >= 0
        assert kernel.runs >= 0
        if kernel.kind not in (REST, WAIT):
            assert kernel.lines
            assert all(re.search(r"(profiled_nets|test_profile)\.py:\d+$", line) for line in kernel.lines)
    rest = sum(kernel.share for kernel in profile.kernels if kernel.kind == REST)
    assert math.isclose(profile.unowned, rest)
    assert [*profile] == [*profile.layers]
    assert len(profile) == len(profile.layers)
    assert all(profile[name] is not None for name in profile)
    return profile


@lru_cache(maxsize=8)
def profiled(name: str) -> tuple[ProfiledNet, Profile]:
    """Return a net, and its profile of inference, or of gradients if it has a loss."""
    net = (NETS | {"trained": trained})[name]()
    graph = net.program.training if name == "trained" else net.program.inference
    return net, checked(graph.profile(net.feeds, seconds=SECONDS))


@pytest.mark.parametrize("name", NETS)
def test_a_profile_names_the_layers_and_lines_of_all_that_takes_time(name: str) -> None:
    net, profile = profiled(name)
    assert net.layers <= {name for name in profile if not name.startswith("(")}
    assert profile.graph == "inference"
    assert set(profile.phases) <= {"forward", "(between kernels)"}
    assert profile.sizes["T"] == net.feeds["x"].shape[1]
    steps = [kernel for kernel in profile.kernels if kernel.name.startswith("step: ")]
    assert {kernel.runs for kernel in steps} == {profile.sizes["T"]}


@pytest.mark.parametrize("name", ["stack", "both ways"])
def test_code_with_counters_gives_the_same_bits(name: str) -> None:
    net, _ = profiled(name)
    expected = flat(net.program.inference(net.feeds))
    compiled, outputs = net.program.inference.compiled, net.program.inference._names()
    entry, plan, counters = compiled.timed_entry(outputs, compiled.last_sizes)
    weights = entry.weights(net.program.parameters)
    actual = run_once(entry, weights, net.feeds, compiled.last_sizes)
    for name, values in zip(outputs, expected.values(), strict=True):
        assert_array_equal(actual[name], values)
    assert plan.ticks is not None
    assert counters[plan.ticks.rest, 0, 1] == 1
    plain = compiled.entry(outputs, compiled.last_sizes)
    assert plain._interface.slots == entry._interface.slots - 1  # except for the counters


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share all calls with workers, however short they are."""
    monkeypatch.setattr(adaptive_threads, "TRIALS", 0)
    monkeypatch.setattr(native, "MIN_CYCLES", 0)
    monkeypatch.setattr("rnngraph.runtime.native.worker_pool.cores", lambda: 2)


@pytest.mark.parametrize("rows", [2, 33], ids=["a pipeline of layers", "rows are cut"])
def test_workers_are_counted_each_for_itself(shared: None, rows: int) -> None:
    x = rg.placeholder("x", (None, None, 17))
    cells = [rg.BasicRNNCell(63) for _ in range(2)]
    program = rg.compile(rg.dynamic_rnn(rg.MultiRNNCell(cells), x)[0], threads=2)
    feeds = {"x": array(rows, 100, 17)}
    expected = program.inference(feeds)
    compiled, outputs = program.inference.compiled, program.inference._names()
    entry, plan, counters = compiled.timed_entry(outputs, compiled.last_sizes)
    for _ in range(3):
        actual = run_once(entry, entry.weights(program.parameters), feeds, compiled.last_sizes)
        assert_array_equal(actual[outputs[0]], expected)
    assert plan.ticks is not None
    assert counters[plan.ticks.rest, :, 1].tolist() == [3, 3]
    profile = program.inference.profile(feeds, seconds=SECONDS)
    assert profile.workers == 2
    assert math.isclose(sum(kernel.share for kernel in profile.kernels), 1.0)
    assert profile.layers["(waits)"].seconds >= 0
    assert any(kernel.kind == WAIT for kernel in profile.kernels)


def test_gradients_have_passes() -> None:
    net, profile = profiled("trained")
    assert {"forward", "backward"} <= set(profile.phases)
    assert "update" not in profile.phases
    assert net.layers <= set(profile)
    without_loss = net.program.training.profile(x=net.feeds["x"], seconds=SECONDS, seed=3)
    with pytest.raises(rg.GraphError, match="wrt= need the loss"):
        net.program.training.profile(x=net.feeds["x"], wrt=["x"], seconds=SECONDS)
    assert set(without_loss.phases) <= {"forward", "(between kernels)"}


def test_a_profile_of_steps_does_not_change_the_trainer(tmp_path: Path) -> None:
    """Parameters, optimizer slots and the generator of seeds do not change; checkpoints contain them all."""
    net, _ = profiled("trained")
    trainer = rg.Trainer(net.program, rg.Adam(1e-2), clip_norm=1.0)
    trainer.step(net.feeds)
    trainer.save(tmp_path / "before")
    profile = checked(trainer.profile(net.feeds, seconds=SECONDS))
    net.program.training.profile(net.feeds, seconds=SECONDS)
    trainer.save(tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()
    assert {"forward", "backward", "update", "(packing)"} <= set(profile.phases)
    assert profile.graph == "step"
    assert net.layers <= set(profile)


def test_a_step_of_shards_is_not_one_call() -> None:
    net, _ = profiled("trained")
    with pytest.raises(rg.ArgumentError, match=r"test_profile\.py:\d+: a step of a trainer with shards"):
        rg.Trainer(net.program, shards=3).profile(net.feeds)


def test_multiply_adds_are_those_of_the_declaration() -> None:
    """A profile counts the multiply-adds of the declared products, and elementwise ops."""
    net, profile = profiled("stack")
    rows, steps = net.feeds["x"].shape[:2]
    for layer, inputs, units, gates, elementwise in (
        ("rnn/multi_rnn_cell/cell_0/basic_rnn_cell", 7, 17, 1, 8),
        ("rnn/multi_rnn_cell/cell_1/gru_cell", 17, 25, 3, 16),
        ("rnn/multi_rnn_cell/cell_2/basic_lstm_cell", 25, 3, 4, 20),
    ):
        products = 2 * rows * steps * gates * units * (inputs + units)
        assert products <= profile[layer].flops <= products + rows * steps * units * elementwise


def test_interleaved_scans_are_one_kernel_of_several_layers() -> None:
    x = rg.placeholder("x", (None, None, 8))
    cells = [rg.BasicRNNCell(8), rg.GRUCell(8)]
    program = rg.compile(rg.dynamic_rnn(rg.MultiRNNCell(cells), x)[0], seed=1, cache=False)
    steps = 100
    profile = checked(program.inference.profile(x=np.ones((1, steps, 8), np.float32), seconds=SECONDS))
    (beside,) = [kernel for kernel in profile.kernels if "scans beside each other" in kernel.name]
    assert len(beside.layers) == 2
    assert beside.runs == steps
    for number, gates in ((0, 1), (1, 3)):
        (actual,) = [part for layer, part in profile.layers.items() if f"cell_{number}/" in layer]
        products = 2 * steps * gates * 8 * 16
        assert products <= actual.flops <= products + steps * 8 * 20


def _too_short(*_: object) -> float:
    """Return a cost of counting that exceeds every kernel's cycles."""
    return math.inf


@pytest.mark.parametrize("name", [*NETS, "trained"])
def test_kernels_too_short_to_be_timed_are_listed_with_their_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, timed = profiled(name)
    monkeypatch.setattr(measure, "_own_cycles", _too_short)
    graph = net.program.training if name == "trained" else net.program.inference
    short = checked(graph.profile(net.feeds, seconds=SECONDS))
    assert short.seconds == 0
    for one, other in zip(short.kernels, timed.kernels, strict=True):
        assert (one.name, one.layers, one.runs, one.flops, one.bytes) == (
            other.name,
            other.layers,
            other.runs,
            other.flops,
            other.bytes,
        )
    for layer, part in timed.items():
        assert (short[layer].flops, short[layer].bytes) == (part.flops, part.bytes)
    assert all(layer in short.plot() for layer in net.layers)


def test_rows_that_have_ended_are_no_work() -> None:
    net, part = profiled("both ways")
    whole = net.program.inference.profile({**net.feeds, "n": np.full(3, 25)}, seconds=SECONDS)
    layer = "bidirectional_rnn/fw/basic_lstm_cell"
    assert math.isclose(part[layer].flops / whole[layer].flops, (1 + 17 + 25) / 75, rel_tol=0.02)


@pytest.mark.parametrize("shape", [(1, 1, 7), (2, 0, 7), (1, 2, 7)])
def test_very_short_calls(shape: tuple[int, ...]) -> None:
    x = rg.placeholder("x", (None, None, 7))
    profile = rg.compile(rg.dynamic_rnn(rg.GRUCell(1), x)[0]).inference.profile({x: array(*shape)}, seconds=SECONDS)
    assert str(profile).startswith("inference with B = ")
    assert profile.seconds >= 0
    assert profile.python > 0
    assert profile.calls > 0


# Output -----------------------------------------------------------------------------------------------


def test_calls_with_counters_take_the_same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls with counters also run in machine code after a few calls, so that times in Python are realistic."""
    in_python = 0
    original = Runner.run

    def counted(runner: Runner, *arguments: object) -> object:
        nonlocal in_python
        in_python += 1
        return original(runner, *arguments)

    monkeypatch.setattr(Runner, "run", counted)
    x = rg.placeholder("x", (None, 7))
    program = rg.compile(rg.dense(x, 3))
    feeds = {"x": array(3, 7)}
    assert program.inference.profile(feeds, SECONDS).calls > 0
    if not DIRECT.ready(None, Result):
        pytest.skip("calls of this interpreter or processor are made in Python")
    assert in_python <= 2 * (CALLS_UNTIL_DIRECT + 4)


def test_text_html_and_picture_show_every_layer(tmp_path: Path) -> None:
    net, profile = profiled("trained")
    text = str(profile)
    for words in ("layers", "time", "× floor", "bound by", "backward", "profiled_nets.py", *net.layers):
        assert words in text or words == "layers", words
    parser = HTMLParser()
    html = profile._repr_html_()
    parser.feed(html)
    assert all(layer in html for layer in net.layers)
    assert "<script" not in html
    path = tmp_path / "profile.svg"
    picture = profile.plot(path)
    assert path.read_text() == picture == profile.plot()
    shown = "".join(ET.fromstring(picture).itertext())
    small = [layer for layer, part in profile.items() if part.share < 0.01]
    assert all(layer in shown for layer in profile if layer not in small or len(small) < 2)
    assert (f"{len(small)} others" in shown) == (len(small) > 1)
    shares = [part.share for title, _, parts in profile.tables() if title == "kernels" for part in parts]
    assert shares[:-1] == sorted(shares[:-1], reverse=True)
    pytest.importorskip("matplotlib")
    assert profile.plot(tmp_path / "profile.png") == picture
    head = (tmp_path / "profile.png").read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    dots = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    root = ET.fromstring(picture)
    assert dots == pytest.approx([1.5 * int(root.attrib[side]) for side in ("width", "height")], abs=1)
    with pytest.raises(rg.ArgumentError, match=re.escape("can't plot .pdf; give a path that ends in .svg or .png")):
        profile.plot(tmp_path / "profile.pdf")
    with pytest.raises(rg.NameLookupError, match="no layer 'densee'; did you mean dense"):
        profile["densee"]


def test_tables_print_to_a_pipe_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    _, profile = profiled("trained")
    ruled = str(profile)
    assert "───" in ruled
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    plain = str(profile)
    print(plain)
    assert plain == ruled.replace("─", "-")


def test_the_roofline_shows_the_memory_level_of_the_data() -> None:
    """The roofline shows the memory level of the data. Axes fit the dots, and labels overlap nothing."""
    _, profile = profiled("trained")
    base = next(iter(profile.values()))
    parts = [
        replace(base, name=f"net/layer_{number}", share=share, seconds=1e-3, flops=flops, bytes=1e6)
        for number, (share, flops) in enumerate(((0.5, 2e7), (0.3, 2.1e7), (0.15, 1.9e7), (0.04, 4e6), (0.001, 3e6)))
    ]
    marks = picture_of(parts, profile.limits).marks
    dots = [mark for mark in marks if isinstance(mark, Dot)]
    assert len(dots) == len(parts)
    assert min(dot.x for dot in dots) < 500  # the lowest rates are far below the roof
    names = [mark for mark in marks if isinstance(mark, Text) and mark.text.startswith("layer_")]
    assert [name.text for name in names] == ["layer_0", "layer_1", "layer_2", "layer_3"]
    frames = [(name.x, name.x + 7 * len(name.text), name.y - 11, name.y + 3) for name in names]
    frames += [(dot.x - dot.radius, dot.x + dot.radius, dot.y - dot.radius, dot.y + dot.radius) for dot in dots]
    for one, other in itertools.combinations(frames[: len(names)], 2):
        assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
    for name in frames[: len(names)]:
        for dot in frames[len(names) :]:
            assert name[1] <= dot[0] or dot[1] <= name[0] or name[3] <= dot[2] or dot[3] <= name[2]
    assert "1 others" not in [mark.text for mark in marks if isinstance(mark, Text)]


def test_a_long_name_keeps_its_end_in_the_picture() -> None:
    x = rg.placeholder("x", (None, 3))
    name = "/".join(f"tower_{number}" for number in range(20))
    program = rg.compile(rg.dense(x, 2, name=name))
    picture = program.inference.profile({x: array(1, 3)}, SECONDS).plot()
    labels = [text for text in ET.fromstring(picture).itertext() if "tower_19  " in text]
    assert [text[0] for text in labels] == ["…"]
    assert len(labels[0]) <= 100


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "1", None, 10**400, [1.0]])
def test_seconds_are_a_positive_number(seconds: object) -> None:
    x = rg.placeholder("x", (None, 3))
    with pytest.raises(rg.RnnGraphError, match=r"test_profile\.py:\d+: .*seconds"):
        rg.compile(rg.dense(x, 2)).inference.profile({x: array(1, 3)}, seconds=seconds)  # type: ignore[arg-type]


def test_missing_counters_and_other_targets_are_errors() -> None:
    net, _ = profiled("stack")
    with pytest.raises(rg.NameLookupError, match=r"test_profile\.py:\d+: the inference graph needs x"):
        net.program.inference.profile()
    with pytest.raises(rg.NameLookupError, match=r"has no input 'z'"):
        net.program.inference.profile(net.feeds | {"z": array(1)})
    x = rg.placeholder("x", (None, 3))
    elsewhere = rg.compile(rg.dense(x, 2), target="riscv64")
    with pytest.raises(rg.GraphError):
        elsewhere.inference.profile({x: array(2, 3)})
