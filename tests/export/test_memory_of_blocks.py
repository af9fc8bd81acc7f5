"""``max_block=`` of exports: equal bits in less memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import Instance
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.cli import main
from rnngraph.codegen.machine.target import host, target_of


def placeholder(width: int) -> rg.Tensor:
    return rg.placeholder("x", (None, None, width))


def effect() -> dict[str, Any]:
    return {"y": rg.dense(rg.dynamic_rnn(rg.LSTMCell(24), placeholder(1))[0], 1)}


def stack() -> dict[str, Any]:
    cells = [rg.LSTMCell(17, num_proj=5), rg.ResidualWrapper(rg.GRUCell(5))]
    return {"y": rg.dynamic_rnn(rg.MultiRNNCell(cells), rg.conv1d(placeholder(3), 7, 5, padding="causal"))[0]}


def ahead() -> dict[str, Any]:
    return {"y": rg.conv1d(rg.dynamic_rnn(rg.GRUCell(4), placeholder(3))[0], 3, 3, padding="same")}


@pytest.mark.parametrize(("declare", "has_blocks"), [(effect, True), (stack, True), (ahead, False)])
def test_smaller_blocks_give_the_same_bits_in_less_memory(
    declare: Callable[[], Any], has_blocks: bool, tmp_path: Path
) -> None:
    program, sizes = rg.compile(declare(), seed=4), list[int]()
    x = np.random.default_rng(1).normal(size=(1, 300, program.inputs["x"].shape[2])).astype(np.float32)
    results = []
    for maximum in (None, 16, 3, 1):
        net = program.inference.export(tmp_path / str(maximum), "net", link=False, max_block=maximum)
        sizes.append(net.state_size)
        assert net.max_block <= (maximum or 128)
        results.append(Instance(tmp_path / str(maximum), "net", host()).process(300, x=x)["y"])
        text = (tmp_path / str(maximum) / "net.h").read_text()
        assert f"#define NET_STATE_SIZE {net.state_size} " in text
        assert ("a smaller max_block= reduces" in text) == (net.block_size > 0)
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[-1] < sizes[0] // 10) == has_blocks
    for result in results[1:]:
        assert_array_equal(result, results[0])


def test_the_command_explains_the_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rg.compile(effect()).save(tmp_path / "saved")
    export = ["export", str(tmp_path / "saved"), "-o", str(tmp_path / "out"), "--name", "net", "--no-link"]
    assert main(export) == 0
    said = capsys.readouterr().out
    assert "of these bytes are for blocks of 128 steps at once; a smaller --max-block needs less" in said
    assert main([*export, "--max-block", "1"]) == 0
    least = capsys.readouterr().out
    size = int(least.split(" bytes of memory an instance")[0].split()[-1])
    assert f"--max-block 1 needs {size} for an instance" in said
    assert "for blocks" not in least


def test_arguments_that_exclude_each_other_are_errors() -> None:
    graph = rg.compile(effect()).inference
    with pytest.raises(rg.ArgumentError, match="max_block=4 applies to streams only"):
        graph.export("never", form="sequence", max_block=4)
    with pytest.raises(rg.ArgumentError, match="max_block must be at least 1"):
        graph.export("never", max_block=0)


def test_a_scalar_processor_has_no_blocks(tmp_path: Path) -> None:
    net = rg.compile(effect()).inference.export(tmp_path, target="thumbv7em-none-eabihf", link=False)
    assert (net.block_size, net.max_block) == (0, 1)
    assert target_of("thumbv7em-none-eabihf").lanes(4) == 1
