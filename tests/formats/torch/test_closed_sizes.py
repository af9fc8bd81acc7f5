"""Axes of a module's inputs that stay open, axes that are fixed, and the lines that fix them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from read_modules import check, check_meaning, expected

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
pytestmark = pytest.mark.peers
CALLS = ((3, 5), (1, 1), (2, 3), (1, 17))


def line_of(function: Callable[..., Any], text: str) -> str:
    """Return ``file:line`` of the line of a function that contains a text."""
    lines, first = inspect.getsourcelines(function)
    return f"test_closed_sizes.py:{first + next(number for number, line in enumerate(lines) if text in line)}"


def by_heads(m: Any, x: Any) -> Any:
    rows, p = x.size(0), m[1].weight.view(2, 4, 4)
    h, outputs = torch.zeros(2, rows, 4), []
    for t in range(x.size(1)):
        h = torch.tanh(m[0](x[:, t]).view(rows, 2, 4).transpose(0, 1) + torch.bmm(h, p))
        outputs.append(h)
    return torch.stack(outputs, 2), torch.stack(outputs, 0), h


def columns(m: Any, x: Any) -> Any:
    h = torch.zeros(8, x.size(0))
    outputs = []
    for t in range(x.size(1)):
        h = torch.tanh(m[0](x[:, t]).T + m[1].weight[:8, :4] @ h.view(2, 4, -1).sum(0))
        outputs.append(h)
    return torch.stack(outputs)


def rows_in_the_middle(m: Any, x: Any) -> Any:
    y = m[0](x).view(x.size(0), x.size(1), 2, 4).permute(1, 2, 0, 3)
    h, outputs = torch.ones(2, x.size(0), 4), []
    for step in y:
        h = 0.5 * h + step * m[1].weight.view(2, 4, 4)[:, :1]
        outputs.append(h.sum(0))
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("function", [by_heads, columns, rows_in_the_middle])
def test_states_whose_rows_are_another_axis(function: Any) -> None:
    torch.manual_seed(0)
    net = check(module(function, nn.Linear(3, 8), nn.Linear(4, 8)), *((normal(*size, 3),) for size in CALLS))
    assert net.sizes == {"inputs_0": {0: "B", 1: "T", 2: 3}}


# Lines ------------------------------------------------------------------------------------------------


def only_one(m: Any, x: Any) -> Any:
    y = m[0](x)[0]
    if x.shape[1] == 1:
        return y * 0
    return y


def test_a_branch_on_one_step_keeps_the_size_open_and_is_reported() -> None:
    net = check_meaning(
        module(only_one, nn.GRU(3, 4, batch_first=True)), *((normal(*s, 3),) for s in CALLS if s[1] > 1)
    )
    assert net.sizes["inputs_0"] == {0: "B", 1: "T", 2: 3}
    first, closed, unequal = str(net).split("\n")
    assert first == repr(net)
    assert closed.startswith("inputs_0: axis 0 is open (B); axis 1 is open (T); axis 2 is 3, by ")
    assert closed.endswith(line_of(only_one, "m[0]"))
    assert unequal.startswith("T is not 1, as ")
    assert line_of(only_one, "== 1") in unequal


def longer(m: Any, x: Any) -> Any:
    if x.size(1) > 4:
        return m[0](x[:, :4])
    return m[0](x)


def tenth(m: Any, x: Any) -> Any:
    y = m[0](x)
    return y[:, : int(x.size(1) * 0.1) + 1]


def differing(m: Any, x: Any) -> Any:
    h, outputs = x[:, 0] * 0, []
    for t in range(x.size(1)):
        h = m[0](h + x[:, t]) if t % 3 else m[0](h * x[:, t])
        outputs.append(h)
    return torch.stack(outputs, 1)


def asserted(m: Any, x: Any) -> Any:
    assert x.size(1) <= 12, "too long"
    return m[0](x)


def masked(m: Any, x: Any) -> Any:
    """Apply a causal mask of 32 steps, or one of the input's length if that is shorter."""
    count, mask = x.size(1), torch.ones(32, 32, dtype=torch.bool).tril()
    if count < 32:
        mask = torch.ones(count, count, dtype=torch.bool).tril()
    return torch.where(mask, m[0](x) @ x.transpose(1, 2), 0.0) @ x


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "text", "limits", "wrong"),
    [
        (longer, "> 4", "B_1 is at least 5", 4),
        (asserted, "<= 12", "B_1 is at most 12", 13),
        (masked, "count < 32", "B_1 is at most 31", 32),
    ],
)
def test_a_comparison_limits_a_size(function: Any, text: str, limits: str, wrong: int) -> None:
    layer = module(function, nn.Linear(3, 3))
    net = check_meaning(layer, *((normal(*sizes, 3),) for sizes in ((2, 7), (1, 9), (3, 12))))
    assert f"{limits}, by " in str(net)
    assert line_of(function, text) in str(net)
    with pytest.raises(rg.ShapeError, match=rf"a size of {limits.partition(' is ')[2]} .* does not fit"):
        net.program().inference(inputs_0=np.zeros((1, wrong, 3), np.float32))


@pytest.mark.parametrize(("function", "text"), [(tenth, "0.1"), (differing, "x[:, t])")])
def test_the_line_that_closed_a_size(function: Any, text: str) -> None:
    m = module(function, nn.Linear(3, 3))
    net = rg.read_torch(m, normal(2, 7, 3))
    assert net.sizes["inputs_0"] == {0: "B", 1: 7, 2: 3}
    assert "axis 1 is 7, by " in str(net)
    assert line_of(function, text) in str(net)
    with pytest.raises(rg.NotReadableError, match="axis 1 of inputs_0 can't be open; it must be 7") as caught:
        rg.read_torch(m, normal(2, 7, 3), open={"inputs_0": {1: "T"}})
    assert line_of(function, text) in str(caught.value)


# Requested ------------------------------------------------------------------------------------------


def picture(m: Any, x: Any) -> Any:
    return m[0](x).mean(1)


def test_the_width_of_a_picture_is_opened() -> None:
    m = module(picture, nn.Conv2d(1, 3, 3))
    net = rg.read_torch(m, normal(1, 1, 48, 20), open={"inputs_0": {3: "W"}})
    assert net.sizes["inputs_0"] == {0: "B", 1: 1, 2: 48, 3: "W"}
    for width in (17, 25):
        x = normal(2, 1, 48, width)
        np.testing.assert_allclose(net.program().inference(x)["y"], expected(m, (x,))["y"], atol=1e-5)


def test_an_axis_of_size_one_in_the_example_is_opened() -> None:
    m = module(only_one, nn.GRU(3, 4, batch_first=True))
    assert rg.read_torch(m, normal(2, 1, 3)).sizes["inputs_0"][1] == 1
    net = rg.read_torch(m, normal(2, 1, 3), open={"inputs_0": {1: "steps"}})
    assert net.sizes["inputs_0"] == {0: "B", 1: "steps", 2: 3}
    x = normal(2, 7, 3)
    np.testing.assert_allclose(net.program().inference(x)["y"], expected(m, (x,))["y"], atol=1e-5)


def test_fixed_and_equal_axes() -> None:
    m = module(lambda m, x, y: (m[0](x), m[0](y)), nn.Linear(3, 4))
    x, y = normal(2, 5, 3), normal(4, 6, 3)
    net = rg.read_torch(m, (x, y), open={"inputs_0": {1: "S"}, "inputs_1": {-2: "S"}}, fixed={"inputs_0": {0: 200}})
    assert net.sizes == {"inputs_0": {0: 200, 1: "S", 2: 3}, "inputs_1": {0: "B", 1: "S", 2: 3}}


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"open": {"y": {1: "T"}}}, rg.NameLookupError, "names the input 'y'"),
        ({"open": {"inputs_0": {3: "T"}}}, rg.ArgumentError, "axes 0 to 2"),
        ({"open": {"inputs_0": {1: 5}}}, rg.DtypeError, "names a size by 5"),
        ({"open": {"inputs_0": 1}}, rg.DtypeError, "write {axis: name}"),
        ({"open": [1]}, rg.DtypeError, "must be a mapping"),
        ({"fixed": {"inputs_0": {1: 0}}}, rg.DtypeError, "a size from 1 to 2,147,483,647"),
        ({"fixed": {"inputs_0": {1: 5}}, "open": {"inputs_0": {1: "T"}}}, rg.ArgumentError, "both have axis 1"),
    ],
)
def test_requests_that_are_wrong(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rg.read_torch(module(picture, nn.Linear(3, 3)), normal(2, 5, 3), **options)


def first_then_rest(m: Any, x: Any) -> Any:
    h = x[:, 0]
    seen = [h]
    for u in x[:, 1:].unbind(1):
        h = 0.3 * u + 0.7 * h
        seen.append(h)
    x = torch.stack(seen, 1)
    if x.shape[1] == 1:
        x = x * 0
    return m[0](x)


def test_a_size_of_a_first_step_and_the_rest() -> None:
    net = check_meaning(module(first_then_rest, nn.Linear(3, 4)), (normal(2, 5, 3),), (normal(1, 9, 3),))
    assert f"T is not 1, as {inspect.getsourcefile(first_then_rest)}" in str(net)


# Caches ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def parts(shape: tuple[int, ...], heads: int) -> tuple[int, ...]:
    return (*shape[:2], heads, shape[2] // heads)


def through_a_cache(m: Any, x: Any) -> Any:
    y = m[0](x)
    return y.reshape(parts(y.shape, 2)).sum(2)


def test_cached_functions_receive_open_sizes() -> None:
    m = module(through_a_cache, nn.Linear(3, 8))
    kept = parts
    assert parts((4, 4, 8), 2) == (4, 4, 2, 4)
    for _ in range(2):  # the second read has a filled cache
        net = check_meaning(m, (normal(4, 4, 3),), (normal(1, 7, 3),))
        assert all(isinstance(net.sizes["inputs_0"][axis], str) for axis in (0, 1))
    assert sys.modules[__name__].parts is kept  # type: ignore[attr-defined]


LAZY = """
from functools import cache, lru_cache


@lru_cache
def parts(shape, heads):
    return (*shape[:2], heads, shape[2] // heads)


@cache
def whole(shape):
    return (*shape[:2], shape[2] * shape[3])
"""


def test_cached_functions_of_python_modules_that_are_imported_while_the_net_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazily_cached.py").write_text(LAZY)
    monkeypatch.syspath_prepend(str(tmp_path))

    def imports(m: Any, x: Any) -> Any:
        import lazily_cached

        y = m[0](x)
        y = torch.relu(y.reshape(lazily_cached.parts(y.shape, 2)))
        return y.reshape(lazily_cached.whole(y.shape))

    net = check_meaning(module(imports, nn.Linear(3, 8)), (normal(4, 4, 3),), (normal(1, 7, 3),))
    assert all(isinstance(net.sizes["inputs_0"][axis], str) for axis in (0, 1))
    function = sys.modules.pop("lazily_cached").whole
    assert function is not function.__wrapped__
    function.cache_clear()
    assert function((1, 2, 3, 4)) == function((1, 2, 3, 4)) == (1, 2, 12)
    assert (function.cache_info().hits, function.cache_info().misses) == (1, 1)


def test_einops() -> None:
    einops = pytest.importorskip("einops")
    rearrange = einops.rearrange

    def heads(m: Any, x: Any) -> Any:
        y = rearrange(m[0](x), "b t (h d) -> b h t d", h=2)
        z = rearrange(y, "b h t d -> (b t) (h d)")
        return rearrange(m[1](z), "(b t) c -> b t c", b=x.shape[0]) + einops.reduce(y, "b h t d -> b () ()", "max")

    net = check_meaning(module(heads, nn.Linear(3, 8), nn.Linear(8, 5)), *((normal(*size, 3),) for size in CALLS))
    assert [*net.sizes["inputs_0"].values()][2] == 3
    assert all(isinstance(net.sizes["inputs_0"][axis], str) for axis in (0, 1))


# Runs ------------------------------------------------------------------------------------------------


def decoder(m: Any, memory: Any, ids: Any) -> Any:
    states, h = m[0](memory)
    h, outputs = h[0], []
    for t in range(ids.size(1)):
        h = m[2](m[1](ids[:, t]), h)
        weights = torch.softmax((states * h[:, None]).sum(-1), -1)
        outputs.append(m[3](torch.cat([h, (weights[..., None] * states).sum(1)], -1)))
    return torch.stack(outputs, 1)


def test_a_loop_is_traced_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnngraph.formats.torch.tracing.tracer import Tracer

    runs, run = [], Tracer.run
    monkeypatch.setattr(Tracer, "run", lambda *args: (runs.append(1), run(*args))[1])
    m = module(decoder, nn.GRU(3, 4, batch_first=True), nn.Embedding(9, 3), nn.GRUCell(3, 4), nn.Linear(8, 9))
    net = rg.read_torch(m, (normal(2, 7, 3), torch.zeros(2, 9, dtype=torch.long)))
    assert [net.sizes[name][1] for name in net.inputs] == ["T", "T_1"]
    assert len(runs) <= 8


@pytest.mark.parametrize("steps", [3, 4, 7])
def test_a_constant_state_scaled_by_a_number(steps: int) -> None:
    def scaled(m: Any, x: Any) -> Any:
        h, outputs = torch.ones(x.size(0), 4), []
        for t in range(x.size(1)):
            h = torch.tanh(m[0](x[:, t]) + h * 0.5)
            outputs.append(h)
        return torch.stack(outputs, 1)

    net = check_meaning(module(scaled, nn.Linear(3, 4)), (normal(2, steps, 3),), *((normal(*s, 3),) for s in CALLS))
    assert net.sizes["inputs_0"] == {0: "B", 1: "T", 2: 3}


def test_a_learned_state_of_all_rows_streams() -> None:
    def learned(m: Any, x: Any) -> Any:
        h, outputs = m[1].weight[:1].expand(x.size(0), -1), []
        for u in x.unbind(1):
            z, c = m[0](u).chunk(2, -1)
            h = (1 - torch.sigmoid(z)) * h + torch.sigmoid(z) * c
            outputs.append(h)
        return torch.stack(outputs, 1)

    net = check_meaning(module(learned, nn.Linear(3, 8), nn.Linear(4, 2)), *((normal(*size, 3),) for size in CALLS))
    assert "rg.stack" not in net.script()
    assert net.sizes["inputs_0"] == {0: "B", 1: "T", 2: 3}
    program, x = net.program(), normal(2, 5, 3).numpy()
    stream = program.inference.stream(batch=2)
    outputs = [np.asarray(stream.step(x[:, step])["y"]) for step in range(5)]
    np.testing.assert_array_equal(np.stack(outputs, 1), program.inference(x)["y"])


def test_a_cell_that_steps_is_used_once(recwarn: pytest.WarningsRecorder) -> None:
    m = module(decoder, nn.GRU(3, 4, batch_first=True), nn.Embedding(9, 3), nn.GRUCell(3, 4), nn.Linear(8, 9))
    rg.read_torch(m, (normal(2, 5, 3), torch.zeros(2, 6, dtype=torch.long)))
    assert [str(item.message) for item in recwarn if "is used elsewhere" in str(item.message)] == []


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_that_is_called_twice_is_one_layer(groups: int) -> None:
    def twice(m: Any, x: Any) -> Any:
        y = m[0](torch.tanh(m[0](x.transpose(1, 2))))
        return y.transpose(1, 2) + m[0].bias + (m[0].weight ** 2).sum()

    torch.manual_seed(0)
    m = module(twice, nn.Conv1d(4, 4, 3, padding=1, groups=groups))
    net = check_meaning(m, *((normal(*size, 4),) for size in ((2, 5), (1, 3), (3, 17))))
    assert {*net.parameters} == {"m/0/weight", "m/0/bias"}


class Window(nn.Module):
    """Module that writes an entry of unknown width into a window of fixed width."""

    def forward(self, x: Any) -> Any:
        window = torch.zeros(x.shape[0], 4, 8)
        window[:, -1:, :] = x[:, :1]
        return torch.roll(window, shifts=-1, dims=1) * 2.0


def test_a_write_closes_a_size_that_must_be_that_of_the_target() -> None:
    calls = [(torch.randn(rows, 3, 8),) for rows in (2, 4)]
    net = check_meaning(Window().eval(), *calls)
    assert net.sizes["x"][2] == 8
