"""Modules that convert tensors to bfloat16: values are float32, and rounded after each call as torch rounds them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from read_modules import check, check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
nn = torch.nn
pytestmark = pytest.mark.peers


def normal(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


class Rounded(nn.Module):
    """Products, sums, moves and a parameter in bfloat16, and a tensor that is float32 again."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(4, 4))

    def forward(self, x: Any) -> Any:
        narrow = x.to(torch.bfloat16)
        product = narrow @ self.weight.bfloat16()
        moved = torch.cat([product.transpose(0, 1).reshape(-1, 4), torch.zeros_like(narrow)[:1] + 0.1])
        return (moved * 1.5 + 0.3).float(), product.float() + x, (narrow > 0.5).float()


class Recurrent(nn.Module):
    """Recurrence whose state is rounded after each step, as TiRex's."""

    def forward(self, x: Any) -> Any:
        h, outputs = torch.zeros(x.shape[0], x.shape[2], dtype=torch.bfloat16), []
        for now in range(x.shape[1]):
            h = torch.tanh(0.9 * h.float() + x[:, now]).to(h.dtype)
            outputs.append(h)
        return torch.stack(outputs, 1).float()


def test_values_are_rounded_after_each_call() -> None:
    check_meaning(Rounded().eval(), (normal(3, 4),), (normal(3, 4) * 2,), tolerance=1e-6)


class Mixed(nn.Module):
    """Dense layer that ``torch.autocast`` may compute in bfloat16."""

    def __init__(self, is_rounded: bool) -> None:
        super().__init__()
        self.layer, self.is_rounded = nn.Linear(4, 3), is_rounded

    def forward(self, x: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.is_rounded):
            return self.layer(x)


def test_autocast_is_ignored_also_in_later_reads() -> None:
    importlib.import_module("rnngraph.formats.torch.tracing.meta_results")._cached_result.cache_clear()
    modules = [Mixed(is_rounded).eval() for is_rounded in (True, False)]
    programs = [*modules, torch.export.export(modules[0], (normal(2, 4),))]
    for program in programs:
        assert "reduce_precision" not in rg.read_torch(program, normal(2, 4)).script()


class Halves(nn.Module):
    """Division of ints, whose result has torch's default dtype."""

    def forward(self, x: Any) -> Any:
        return x / 2


def test_the_default_dtype_is_that_of_the_read() -> None:
    dtypes = []
    for default in (torch.float32, torch.float64):
        torch.set_default_dtype(default)
        try:
            dtypes.append(rg.read_torch(Halves().eval(), torch.arange(3)).outputs["y"].dtype)
        finally:
            torch.set_default_dtype(torch.float32)
    assert dtypes == ["float32", "float64"]


@pytest.mark.slow
def test_a_rounded_state_is_read_with_open_time() -> None:
    net = check(
        Recurrent().eval(), (normal(2, 6, 3),), (normal(1, 11, 3),), tolerance=5e-3
    )  # one rounding more or less
    assert isinstance(net.sizes["x"][1], str)
    program, x = net.program(), normal(2, 6, 3).numpy()
    (whole,), stream = program.inference(x).values(), program.inference.stream(batch=2)
    for now in range(6):
        np.testing.assert_array_equal(stream.step(x=x[:, now])["y"], whole[:, now])


def test_reduce_precision_is_torchs_rounding() -> None:
    x = rg.placeholder("x", (None,))
    program = rg.compile({"y": rg.reduce_precision(x)}, loss=rg.reduce_sum(rg.reduce_precision(x) * 3), seed=0)
    array = np.concatenate(
        [normal(500).numpy(), np.float32([0, -0.0, np.inf, np.nan, 1e-40, 1 + 2**-8, 1 + 3 * 2**-8])]
    )
    wanted = torch.from_numpy(array).bfloat16().float().numpy()
    result = program.inference(array)["y"]
    np.testing.assert_array_equal(result, wanted)
    numbers = ~np.isnan(array)
    np.testing.assert_array_equal(np.signbit(result[numbers]), np.signbit(wanted[numbers]))
    _, gradients = program.training.gradients(x=array[:9], wrt=["x"])
    np.testing.assert_array_equal(gradients["x"], np.full(9, 3, "float32"))


def test_errors_name_the_dtype() -> None:
    with pytest.raises(rg.ArgumentError, match="dtype='float16' is not offered; use 'bfloat16'"):
        rg.reduce_precision(rg.placeholder("x", (None,)), "float16")
    with pytest.raises(rg.DtypeError, match=r"reduce_precision needs float32, not .*; cast it first"):
        rg.reduce_precision(rg.placeholder("x", (None,), "float64"))
    with pytest.raises(rg.DtypeError, match=r"x of the example has dtype torch.bfloat16; give a tensor of float32"):
        rg.read_torch(Rounded().eval(), normal(3, 4).bfloat16())
