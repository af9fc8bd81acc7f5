"""Random stacks of torch's layers and functions, against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from read_modules import check

torch = pytest.importorskip("torch", exc_type=ImportError)
nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:dropout option"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]


class Drawn(nn.Module):  # type: ignore[misc, name-defined]
    """Random blocks over [batch, time, width], each of which determines the next width."""

    def __init__(self, generator: np.random.Generator, width: int) -> None:
        super().__init__()
        self.blocks, self.kinds = nn.ModuleList(), []
        for _ in range(int(generator.integers(1, 5))):
            kind = str(generator.choice(BLOCKS))
            block, width = getattr(self, f"make_{kind}")(generator, width)
            self.blocks.append(block)
            self.kinds.append(kind)
        self.ending = str(generator.choice(["all", "last", "mean", "states"]))

    def forward(self, x: Any) -> Any:
        states = []
        for kind, block in zip(self.kinds, self.blocks, strict=True):
            x = getattr(self, f"run_{kind}")(block, x, states)
        match self.ending:
            case "last":
                return x[:, -1]
            case "mean":
                return x.mean(1), x.amax(dim=1)
            case "states":
                return {"x": x, "states": states}
        return x

    def make_recurrent(self, generator: np.random.Generator, width: int) -> Any:
        kind, units = str(generator.choice(["RNN", "LSTM", "GRU"])), int(generator.choice([1, 3, 5, 8]))
        both, layers = bool(generator.integers(2)), int(generator.integers(1, 3))
        options: dict[str, Any] = {"proj_size": 2} if kind == "LSTM" and units > 3 and generator.integers(2) else {}
        options |= {"dropout": 0.2} if layers > 1 and generator.integers(2) else {}
        options |= {"bias": bool(generator.integers(2)), "batch_first": True, "bidirectional": both}
        block = getattr(nn, kind)(width, units, layers, **options)
        return block, options.get("proj_size", units) * (2 if both else 1)

    def run_recurrent(self, block: Any, x: Any, states: list[Any]) -> Any:
        x, state = block(x)
        states.append(state)
        return x

    def make_dense(self, generator: np.random.Generator, width: int) -> Any:
        units = int(generator.choice([1, 2, 6]))
        act = [nn.Tanh(), nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Sigmoid()][int(generator.integers(5))]
        return nn.Sequential(nn.Linear(width, units, bool(generator.integers(2))), act, nn.Dropout(0.1)), units

    def make_convolution(self, generator: np.random.Generator, width: int) -> Any:
        size, dilation = int(generator.integers(1, 4)), int(generator.integers(1, 3))
        units = width * int(generator.integers(1, 3))
        groups = width if generator.integers(2) else 1
        padding = "same" if generator.integers(2) else int(generator.integers(0, 2)) + dilation * (size - 1) // 2
        stride = 1 if padding == "same" else int(generator.integers(1, 3))
        mode = str(generator.choice(["zeros", "reflect", "replicate"]))
        return nn.Conv1d(width, units, size, stride, padding, dilation, groups, padding_mode=mode), units

    def run_convolution(self, block: Any, x: Any, states: list[Any]) -> Any:
        return block(x.transpose(1, 2)).transpose(1, 2)

    def make_norm(self, generator: np.random.Generator, width: int) -> Any:
        block = nn.BatchNorm1d(width, affine=bool(generator.integers(2)))
        with torch.no_grad():
            block.running_mean.normal_()
            block.running_var.uniform_(0.5, 2)
        return nn.ModuleList([block, nn.LayerNorm(width)]), width

    def run_norm(self, block: Any, x: Any, states: list[Any]) -> Any:
        return block[1](block[0](x.permute(0, 2, 1)).permute(0, 2, 1))

    def make_steps(self, generator: np.random.Generator, width: int) -> Any:
        kind, units = str(generator.choice(["RNNCell", "LSTMCell", "GRUCell"])), int(generator.choice([1, 4]))
        return nn.ModuleList([getattr(nn, kind)(width, units), nn.Linear(units, 3)]), 3

    def run_steps(self, block: Any, x: Any, states: list[Any]) -> Any:
        state, outputs = None, []
        for t in range(x.size(1)):
            state = block[0](x[:, t], state)
            outputs.append(block[1](state[0] if isinstance(state, tuple) else state))
        return torch.stack(outputs, dim=1)

    def make_attention(self, generator: np.random.Generator, width: int) -> Any:
        return nn.ModuleList([nn.Linear(width, 4), nn.MultiheadAttention(4, 2, batch_first=True)]), 4

    def run_attention(self, block: Any, x: Any, states: list[Any]) -> Any:
        x = block[0](x)
        return x + block[1](x, x, x, need_weights=False)[0]

    def make_shapes(self, generator: np.random.Generator, width: int) -> Any:
        return nn.Identity(), width

    def run_shapes(self, block: Any, x: Any, states: list[Any]) -> Any:
        batch, time, width = x.shape
        flat = x.reshape(batch * time, width) * 0.5
        before = F.pad(x[:, :-1], (0, 0, 1, 0))
        return flat.view(batch, time, -1) + before + torch.cat([torch.zeros(batch, 1, width), x[:, 1:]], 1)

    def run_dense(self, block: Any, x: Any, states: list[Any]) -> Any:
        return block(x)


BLOCKS = [name.removeprefix("make_") for name in vars(Drawn) if name.startswith("make_")]


def check_module(seed: int) -> None:
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    width = int(generator.choice([1, 2, 5]))
    drawn = Drawn(generator, width).eval()
    calls = [(torch.randn(batch, time, width),) for batch, time in ((2, 17), (3, 25), (1, 18))]
    print(seed, drawn)
    check(drawn, *calls, tolerance=5e-5)


@pytest.mark.parametrize("seed", range(4))
def test_random_modules(seed: int) -> None:
    check_module(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(4, 300))
def test_many_random_modules(seed: int) -> None:
    check_module(seed)
