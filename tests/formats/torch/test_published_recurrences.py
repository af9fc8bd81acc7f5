"""Recurrences as published modules of torch write them: read with open time, streamed, and equal to torch.

Modules of installed packages (minGRU-pytorch, mambapy, minimamba, xlstm, tirex-ts, flash-linear-attention) are read
unchanged. Their naive forms are copied here in their authors' style, so that they are tested without the packages.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from read_modules import check

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
F = torch.nn.functional
pytestmark = pytest.mark.peers
BATCH, TIME, WIDTH, HEADS, DIM = 2, 9, 16, 2, 4


def normal(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def gated_linear_attention(q: Any, k: Any, v: Any, g: Any) -> Any:
    q, k, v, g = (x.transpose(1, 2).float() for x in (q, k, v, F.logsigmoid(g) / 16))
    B, H, T, K, V = *q.shape, v.shape[-1]
    o = torch.zeros_like(v)
    h = q.new_zeros(B, H, K, V, dtype=torch.float32)
    for i in range(T):
        kv_i = k[:, :, i][..., None] * v[:, :, i][..., None, :]
        h = h * g[:, :, i].exp()[..., None] + kv_i
        o[:, :, i] = ((q[:, :, i] * K**-0.5)[..., None] * h).sum(-2)
    return o.transpose(1, 2)


def gated_delta_rule(q: Any, k: Any, v: Any, g: Any) -> Any:
    """Apply the gated delta rule, with a decay for each head that is indexed twice: ``g[:, i][:, :, None]``."""
    B, T, H, K = q.shape
    beta, g = g[..., 0].sigmoid(), F.logsigmoid(g[..., 1])
    k = F.normalize(k, dim=-1)
    S = k.new_zeros(B, H, K, v.shape[-1]).to(q)
    o = torch.zeros_like(v)
    for i in range(T):
        q_i, k_i, v_i, g_i, b_i = q[:, i], k[:, i], v[:, i], g[:, i], beta[:, i]
        S = S * g_i[..., None, None].exp()
        S = S + torch.einsum("b h k, b h v -> b h k v", b_i[..., None] * k_i, v_i - (k_i[..., None] * S).sum(-2))
        o[:, i] = torch.einsum("b h k, b h k v -> b h v", q_i, S)
    return o


def matrix_lstm(q: Any, k: Any, v: Any, g: Any) -> Any:
    """Apply the xLSTM's matrix memory, whose gates' maximum broadcasts two tensors."""
    B, S, NH, DH = q.shape
    i, f = g[..., 0].transpose(1, 2)[..., None], g[..., 1].transpose(1, 2)[..., None]
    k = k / DH**0.5
    C, n, m = q.new_zeros(B, NH, DH, DH), q.new_zeros(B, NH, DH, 1), q.new_zeros(B, NH, 1, 1)
    outputs = []
    for t in range(S):
        q_t, k_t, v_t = (x[:, t].unsqueeze(-1) for x in (q, k, v))
        log_f, i_t = F.logsigmoid(f[:, :, t : t + 1]), i[:, :, t : t + 1]
        new = torch.max(log_f + m, i_t)
        f_t, i_t, m = torch.exp(log_f + m - new), torch.exp(i_t - new), new
        C = f_t * C + i_t * (k_t @ v_t.transpose(-1, -2))
        n = f_t * n + i_t * k_t
        below = torch.maximum((q_t.transpose(-1, -2) @ n).abs(), torch.exp(-m)) + 1e-6
        outputs.append((q_t.transpose(-1, -2) @ C / below)[:, :, 0])
    return torch.stack(outputs, 1)


def scalar_lstm(q: Any, k: Any, v: Any, g: Any) -> Any:
    """Apply the xLSTM's scalar memory, which branches on its state in the first step."""
    B, S, NH, DH = q.shape
    states = torch.zeros(4, B, NH * DH)
    states_all = torch.zeros(4, S + 1, B, NH * DH)
    states_all[:, 0] = states
    for i, raw in enumerate(torch.stack([q, k, v, g], 2).flatten(3).unbind(1)):
        y, c, n, m = torch.unbind(states.view(4, B, -1), dim=0)
        iraw, fraw, zraw, oraw = torch.unbind(raw, dim=1)
        logfplusm = m + F.logsigmoid(fraw + 0.1 * y)
        if torch.all(n == 0.0):  # noqa: SIM108  (a branch is what is read)
            mnew = iraw
        else:
            mnew = torch.max(iraw, logfplusm)
        igate = torch.minimum(torch.exp(iraw - mnew), torch.ones_like(iraw))
        fgate = torch.minimum(torch.exp(logfplusm - mnew), torch.ones_like(iraw))
        c, n = fgate * c + igate * torch.tanh(zraw), fgate * n + igate
        states = torch.stack((torch.sigmoid(oraw) * c / n, c, n, mnew), dim=0)
        states_all[:, i + 1] = states
    return states_all[0][1:].transpose(0, 1)


class OfParts(torch.nn.Module):
    """Recurrence over queries, keys, values and gates of heads, each by a layer of its own."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        super().__init__()
        self.rule = rule
        self.parts = torch.nn.ModuleList([torch.nn.Linear(WIDTH, HEADS * DIM) for _ in "qkvg"])

    def forward(self, x: Any) -> Any:
        b, t, _ = x.shape
        return self.rule(*(part(x).view(b, t, HEADS, DIM) for part in self.parts)).reshape(b, t, -1)


def check_open(module: Any, tolerance: float = 3e-5, streams: bool = True) -> None:
    """Compare a module with torch for other lengths and batches, and its stream with the whole."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    calls = [(normal(*shape, WIDTH),) for shape in ((BATCH, TIME), (3, 14), (1, 30))]
    net = check(module.eval(), *calls, tolerance=tolerance)
    (name,) = net.inputs
    assert isinstance(net.sizes[name][1], str)
    if streams:
        program, (x,) = net.program(), (calls[0][0].numpy(),)
        (whole,), stream = program.inference(x).values(), program.inference.stream(batch=BATCH)
        for now in range(TIME):
            (y,) = stream.step({name: x[:, now]}).values()
            np.testing.assert_array_equal(y, whole[:, now])


@pytest.mark.exhaustive
@pytest.mark.parametrize("rule", [gated_linear_attention, gated_delta_rule, matrix_lstm, scalar_lstm])
def test_naive_forms_are_read_with_open_time(rule: Callable[..., Any]) -> None:
    check_open(OfParts(rule))


@pytest.mark.slow
def test_an_index_into_an_entry_belongs_to_its_round() -> None:
    torch.manual_seed(0)
    net = rg.read_torch(OfParts(gated_delta_rule).eval(), (normal(BATCH, 4, WIDTH),))
    assert isinstance(net.sizes["x"][1], str)


def min_gru() -> Any:
    return importlib.import_module("minGRU_pytorch.minGRU").minGRU(WIDTH, expansion_factor=1.5)


def min_lstm() -> Any:
    return importlib.import_module("minGRU_pytorch.minLSTM").minLSTM(WIDTH)


def mamba() -> Any:
    package = importlib.import_module("mambapy.mamba")
    return package.Mamba(package.MambaConfig(d_model=WIDTH, n_layers=2, d_state=4, pscan=False))


def mlstm() -> Any:
    package = importlib.import_module("xlstm.blocks.mlstm.layer")
    return package.mLSTMLayer(package.mLSTMLayerConfig(embedding_dim=WIDTH, context_length=64, num_heads=HEADS))


class Steps(torch.nn.Module):
    """xLSTM layer with a matrix memory, step by step."""

    def __init__(self) -> None:
        super().__init__()
        package = importlib.import_module("xlstm.blocks.mlstm.layer")
        self.layer = package.mLSTMLayer(
            package.mLSTMLayerConfig(embedding_dim=WIDTH, context_length=64, num_heads=HEADS)
        )

    def forward(self, x: Any) -> Any:
        outputs: list[Any] = []
        state: dict[str, Any] = {"mlstm_state": None, "conv_state": None}
        for t in range(x.shape[1]):
            y, state = self.layer.step(x[:, t : t + 1], **state)
            outputs.append(y)
        return torch.cat(outputs, 1)


def slstm() -> Any:
    package = importlib.import_module("xlstm.blocks.slstm.layer")
    return package.sLSTMLayer(package.sLSTMLayerConfig(embedding_dim=WIDTH, num_heads=HEADS, backend="vanilla"))


def slstm_block() -> Any:
    block, layer = (importlib.import_module(f"xlstm.blocks.slstm.{name}") for name in ("block", "layer"))
    return block.sLSTMBlock(
        block.sLSTMBlockConfig(
            slstm=layer.sLSTMLayerConfig(embedding_dim=WIDTH, num_heads=HEADS, backend="vanilla"),
            _num_blocks=1,
            _block_idx=0,
        )
    )


def minimamba() -> Any:
    """Return a block of minimamba, which runs at most 32 steps."""
    package = importlib.import_module("minimamba")
    return package.MambaBlock(package.BaseMambaConfig(d_model=WIDTH, n_layer=1, d_state=4, device="cpu"))


def tirex() -> Any:
    """Return a block of TiRex, which computes its recurrence in bfloat16, without the package's other imports."""
    package = importlib.util.find_spec("tirex")
    for name in ("tirex", "tirex.models"):
        module = types.ModuleType(name)
        module.__path__ = [str(Path(package.origin).parents[0].joinpath(*name.split(".")[1:]))]
        sys.modules.setdefault(name, module)
    block = importlib.import_module("tirex.models.slstm.block")
    layer = block.sLSTMBlock(block.sLSTMBlockConfig(embedding_dim=WIDTH, num_heads=HEADS), "torch")
    for parameter in layer.parameters():  # most are empty memory
        torch.nn.init.normal_(parameter, std=0.3)
    return layer


PACKAGES: dict[str, tuple[Callable[[], Any], str]] = {
    "minGRU": (min_gru, "minGRU_pytorch"),
    "minLSTM": (min_lstm, "minGRU_pytorch"),
    "mamba": (mamba, "mambapy"),
    "mLSTM": (Steps, "xlstm"),
    "mLSTM in parallel": (mlstm, "xlstm"),
    "sLSTM": (slstm, "xlstm"),
    "sLSTM's block": (slstm_block, "xlstm"),
    "minimamba": (minimamba, "minimamba"),
    "tirex": (tirex, "tirex"),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", PACKAGES)
def test_modules_of_packages_are_read_with_open_time(name: str) -> None:
    make, package = PACKAGES[name]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    check_open(make(), streams="parallel" not in name)  # The parallel form reads the scores of all steps.


@pytest.mark.exhaustive
def test_a_parallel_scan_in_place_is_read_at_the_length_of_the_example() -> None:
    package = pytest.importorskip("mambapy.mamba", exc_type=ImportError)
    torch.manual_seed(1)
    module = package.Mamba(package.MambaConfig(d_model=WIDTH, n_layers=1, d_state=4, pscan=True)).eval()
    check(module, (normal(BATCH, TIME, WIDTH),), (normal(3, TIME, WIDTH),), tolerance=3e-5)


RULES = {
    "gla": ("naive_recurrent_gla", lambda f, q, k, v, g: f(q, k, v, F.logsigmoid(g) / 16)[0]),
    "gated_delta_rule": (
        "naive_recurrent_gated_delta_rule",
        lambda f, q, k, v, g: f(q, k, v, g[..., 0].sigmoid(), F.logsigmoid(g[..., 1]))[0],
    ),
    "kda": ("naive_recurrent_kda", lambda f, q, k, v, g: f(q, k, v, F.logsigmoid(g), g[..., 0].sigmoid())[0]),
    "linear_attn": ("naive_recurrent_linear_attn", lambda f, q, k, v, g: f(q, k, v)[0]),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RULES)
def test_naive_forms_of_flash_linear_attention_are_read_with_open_time(name: str) -> None:
    package = pytest.importorskip("fla", exc_type=ImportError)
    pytest.importorskip("einops", exc_type=ImportError)
    path = f"{package.__path__[0]}/ops/{name}/naive.py"  # importing the package itself needs Triton
    spec = importlib.util.spec_from_file_location(f"naive_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function, rule = getattr(module, RULES[name][0]), RULES[name][1]
    check_open(OfParts(lambda q, k, v, g: rule(function, q, k, v, g)))


class Squeezed(torch.nn.Module):
    """Entries of a transposed sequence, whose axis is removed in place."""

    def forward(self, x: Any) -> Any:
        turned, outputs = x.view(*x.shape[:2], 4, 4).transpose(1, 2), []
        for now in range(x.shape[1]):
            entry = turned[:, :, now : now + 1]
            outputs.append(entry.squeeze_(2) * 2)
        return torch.stack(outputs, 1).flatten(2)


@pytest.mark.slow
def test_an_axis_is_removed_in_place() -> None:
    check(Squeezed().eval(), (normal(2, 5, WIDTH),), (normal(3, 5, WIDTH),))


class OfViews(torch.nn.Module):
    """Recurrence that reads a view of its state, which is zeros at first."""

    def __init__(self, view: str) -> None:
        super().__init__()
        self.view, self.layer = view, torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        rows, outputs = x.shape[0], []
        window = torch.zeros(rows, 4, WIDTH)
        state = torch.zeros(rows, 4, 4) if self.view == "transpose" else torch.zeros(rows, WIDTH)
        for now in range(x.shape[1]):
            if self.view == "reshape":
                state = torch.tanh(x[:, now] + (state.reshape(rows, 4, 1, 4) @ self.layer.weight[:4, :4]).flatten(1))
            elif self.view == "window":
                window = torch.cat([window[:, 1:], x[:, now : now + 1]], 1)
                state = (window * self.layer.weight[:4]).sum(1)
            elif self.view == "unsqueeze":
                state = torch.tanh(x[:, now] + (state.unsqueeze(1) * self.layer.weight).sum(-1))
            else:
                state = torch.tanh(x[:, now].view(rows, 4, 4) + 0.5 * state.transpose(1, 2))
            outputs.append(state.reshape(rows, WIDTH))
        return torch.stack(outputs, 1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("view", ["reshape", "unsqueeze", "transpose", "window"])
def test_views_of_the_first_state_are_views_of_a_state(view: str) -> None:
    check_open(OfViews(view))
