"""Errors of unreadable modules list all problems with lines and paths, and are rnngraph's own."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
nn = pytest.importorskip("torch.nn", exc_type=ImportError)
pytestmark = pytest.mark.peers


class Many(nn.Module):  # type: ignore[misc, name-defined]
    """Module with several unsupported operations."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv3d(1, 1, 1))

    def forward(self, x: Any) -> Any:
        y, parts = x.lgamma(), []
        if y.sum() > 0:
            parts.append(torch.special.gammaln(y))
        return self.inner(x[None, None, None]), torch.randn_like(y), parts[0]


def test_all_of_it_is_listed_with_lines_and_paths() -> None:
    with pytest.raises(rg.NotReadableError) as caught:
        rg.read_torch(Many().eval(), torch.ones(3, 4))
    problems = caught.value.problems
    assert len(problems) == 5
    for word, problem in zip(
        ("lgamma", "values of a tensor", "gammaln", "conv3d", "randn_like"), problems, strict=True
    ):
        assert word in problem
        assert "test_torch_errors.py:" in problem
    assert "(inner.0)" in problems[3]


class One(nn.Module):  # type: ignore[misc, name-defined]
    """Module that applies one function."""

    def __init__(self, what: Any) -> None:
        super().__init__()
        self.what, self.linear = what, nn.Linear(3, 4)

    def forward(self, x: Any) -> Any:
        return self.what(self, x)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda m, x: x * x.max().item(), "converts a tensor to a number"),
        (lambda m, x: x[x > 0], "depends on the data"),
        (lambda m, x: x.nonzero(), "depends on the data"),
        (lambda m, x: torch.FloatTensor(x) + 1, r"write x.long\(\)"),
        (lambda m, x: torch.fft.rfft(x).abs(), "fft_rfft"),
        (lambda m, x: torch.linalg.inv(x @ x.T), "matrix inverses"),
        (lambda m, x: x * torch.rand_like(x), "random numbers"),
        (lambda m, x: x[:, x[0, 0].long()], "index with a 1-D tensor"),
        (lambda m, x: m.linear(x.double()), "the same dtype"),
        (lambda m, x: m.linear(x[:, :2]), "linear"),
        (lambda m, x: 1 / 0, "ZeroDivisionError"),
        (lambda m, x: None, "no tensor"),
        (lambda m, x: x.tolist(), "converts a tensor to a list"),
    ],
)
def test_modules_with_one_unsupported_call(what: Any, message: str) -> None:
    with pytest.raises(rg.NotReadableError, match=message):
        rg.read_torch(One(what).eval(), torch.ones(2, 3))


def test_modules_and_examples_of_the_wrong_kind() -> None:
    with pytest.raises(rg.DtypeError, match=r"an nn\.Module"):
        rg.read_torch(3, (torch.ones(2),))
    with pytest.raises(rg.ArgumentError, match=r"module\.eval\(\)"):
        rg.read_torch(nn.LSTM(3, 4), (torch.ones(2, 3, 3),))
    with pytest.raises(rg.ArgumentError, match="2 entries"):
        rg.read_torch(nn.Linear(3, 4).eval(), (torch.ones(2, 3), torch.ones(2)))
    with pytest.raises(rg.ArgumentError, match="no tensor"):
        rg.read_torch(nn.Linear(3, 4).eval(), (3,))
    with pytest.raises(rg.DtypeError, match="float16"):
        rg.read_torch(nn.Linear(3, 4).eval(), torch.ones(2, 3).half())
    with pytest.raises(rg.NotReadableError, match="TorchScript"):
        rg.read_torch(torch.jit.script(nn.Linear(3, 4)).eval(), torch.ones(2, 3))


def test_quantized_modules_are_refused_by_name() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(3, 4)).eval(), {nn.LSTM})
    with pytest.raises(rg.NotReadableError, match="0 is a LSTM of quantized weights"):
        rg.read_torch(quantized, torch.ones(2, 1, 3))


def test_torch_is_as_it_was_after_an_error() -> None:
    call = nn.Module.__call__
    with pytest.raises(rg.NotReadableError):
        rg.read_torch(Many().eval(), torch.ones(3, 4))
    assert nn.Module.__call__ is call
    assert torch.ones(2).sum().item() == 2


class Broadcasts(torch.nn.Module):
    """Loss about which torch warns."""

    def forward(self, x: Any) -> Any:
        return torch.nn.functional.mse_loss(x, x[:, :1])


def test_warnings_name_the_modules_line_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rg.read_torch(Broadcasts().eval(), (torch.ones(4, 3),))
    lines = [(item.filename, item.lineno, "different to the input size" in str(item.message)) for item in caught]
    assert lines == [(__file__, Broadcasts.forward.__code__.co_firstlineno + 1, True)]
