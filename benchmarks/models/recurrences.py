"""Recent published recurrences with random weights: xLSTM, TiRex, Mamba, minGRU, and the gated delta rule.

Their packages are downloaded and imported without their dependencies.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, unpacked
from .model import Arrays, Model
from .torch_modules import of_module

WIDTH, HEADS, DIM = 16, 2, 8
NARROW = 2e-2
"""Tolerance of a net that rounds to bfloat16, as tiny differences can change how a number is rounded."""
WHAT = "a row of 100 steps"


def nets() -> list[Model]:
    import torch

    torch.manual_seed(0)
    modules = {
        "xLSTM, sLSTM block": ("xlstm", _slstm_block(), 1e-5),
        "xLSTM, mLSTM layer": ("xlstm", _mlstm_layer(), 1e-5),
        "TiRex, sLSTM block": ("tirex-ts", _tirex_block(), NARROW),
        "Mamba block": ("mambapy", _mamba(), 1e-5),
        "gated delta rule": ("fla-core", _gated_delta_rule(), 1e-5),
    }
    models = [
        of_module(name, _origin(package), _drawn(module), _sounds, tolerance, what=WHAT)
        for name, (package, module, tolerance) in modules.items()
    ]
    return [*models, _min_gru()]


def short_nets() -> list[Model]:
    """Return minimamba's block, which runs at most 32 steps."""
    _import("minimamba")
    package = importlib.import_module("minimamba")
    block = package.MambaBlock(package.BaseMambaConfig(d_model=WIDTH, n_layer=1, d_state=4, device="cpu"))
    return [of_module("minimamba block", _origin("minimamba"), _drawn(block), _short, what="a row of 32 steps")]


def _import(*packages: str) -> None:
    for package in packages:
        place = str(unpacked(package))
        if place not in sys.path:
            sys.path.append(place)


def _origin(name: str) -> str:
    return f"{PACKAGES[name].requirement}, {PACKAGES[name].licence}, random weights"


def _drawn(module: Any) -> Any:
    """Add random numbers to all parameters, because many are zeros or uninitialized memory at first."""
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            known = torch.nan_to_num(parameter).clamp(-5, 5)
            parameter.copy_(known + 0.2 * torch.randn_like(parameter))
    return module


def _slstm_block() -> Any:
    _import("xlstm")
    block, layer = (importlib.import_module(f"xlstm.blocks.slstm.{name}") for name in ("block", "layer"))
    own = layer.sLSTMLayerConfig(embedding_dim=WIDTH, num_heads=HEADS, backend="vanilla")
    return block.sLSTMBlock(block.sLSTMBlockConfig(slstm=own, _num_blocks=1, _block_idx=0))


def _mlstm_layer() -> Any:
    package = importlib.import_module("xlstm.blocks.mlstm.layer")
    return package.mLSTMLayer(package.mLSTMLayerConfig(embedding_dim=WIDTH, context_length=128, num_heads=HEADS))


def _tirex_block() -> Any:
    root = unpacked("tirex-ts") / "tirex"
    for name, path in (("tirex", root), ("tirex.models", root / "models")):  # without their imports
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules.setdefault(name, module)
    package = importlib.import_module("tirex.models.slstm.block")
    return package.sLSTMBlock(package.sLSTMBlockConfig(embedding_dim=WIDTH, num_heads=HEADS), "torch")


def _mamba() -> Any:
    _import("mambapy")
    package = importlib.import_module("mambapy.mamba")
    return package.Mamba(package.MambaConfig(d_model=WIDTH, n_layers=1, d_state=4, pscan=False))


def _gated_delta_rule() -> Any:
    """Return flash-linear-attention's naive gated delta rule, with projections of an input as its operands."""
    import torch

    _import("fla-core", "einops")
    path = unpacked("fla-core") / "fla" / "ops" / "gated_delta_rule" / "naive.py"  # the package needs Triton
    spec = importlib.util.spec_from_file_location("naive_gated_delta_rule", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    naive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(naive)
    F = torch.nn.functional

    class Rule(torch.nn.Module):
        """Gated delta rule with projections."""

        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList([torch.nn.Linear(WIDTH, HEADS * DIM) for _ in range(4)])

        def forward(self, x: Any) -> Any:
            rows, steps, _ = x.shape
            q, k, v, g = (part(x).view(rows, steps, HEADS, DIM) for part in self.parts)
            q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
            beta, decay = g[..., 0].sigmoid(), F.logsigmoid(g[..., 1])
            return naive.naive_recurrent_gated_delta_rule(q, k, v, beta, decay)[0].reshape(rows, steps, -1)

    return Rule()


def _min_gru() -> Model:
    """Return two layers of mingru-keras, which are custom layers of a saved model."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    _import("mingru-keras")
    package = importlib.import_module("mingru_keras")
    module: Any = keras.Sequential([keras.Input((None, WIDTH)), package.MinGRU(12), package.MinGRU(8)])
    with tempfile.TemporaryDirectory() as folder:
        module.save(path := Path(folder) / "net.keras")
        net = rg.read_keras(path, custom_objects={"MinGRU": _min_gru_layer})
    program, (fed,), (name,) = net.program(), net.inputs, net.outputs
    draw = np.random.default_rng(0)

    def theirs(feeds: Arrays) -> Arrays:
        return {name: keras.ops.convert_to_numpy(module(feeds[fed]))}

    one = {fed: _sounds(draw, 1, 100)}
    return Model(
        name="mingru-keras, two layers",
        form="Keras 3, custom layers",
        origin=_origin("mingru-keras"),
        by="Keras on torch",
        lines=len(net.script().splitlines()),
        program=program,
        feeds=[{fed: _sounds(draw, rows, steps)} for rows, steps in ((1, 12), (3, 30), (2, 57))],
        engine=theirs,
        tolerance=1e-5,
        timed={WHAT: (lambda: program.inference(one), lambda: theirs(one))},
    )


def _min_gru_layer(config: dict[str, Any]) -> Any:
    """Declare mingru-keras' layer, whose inner layers are stored in alphabetical order."""

    def layer(x: rg.Tensor) -> rg.Tensor:
        z = rg.dense(x, config["units"], "sigmoid", name=f"{config['name']}/gate")
        c = rg.dense(x, config["units"], name=f"{config['name']}/candidate")
        return rg.dynamic_rnn(rg.MinGRUCell(config["units"]), {"z": z, "c": c})[0]

    return layer, ["candidate/kernel", "candidate/bias", "gate/kernel", "gate/bias"]


def _sounds(draw: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    return draw.standard_normal((rows, steps, WIDTH)).astype(np.float32)


def _short(draw: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    return _sounds(draw, rows, min(steps, 32))
