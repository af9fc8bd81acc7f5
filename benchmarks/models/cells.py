"""Recurrences of packages that ship no trained weights, with random weights.

They are cells from differential equations (ncps: CfC, wired CfC, LTC), and a language model of minimal GRUs
(minGRU-pytorch).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

from .model import Model
from .torch_modules import of_module

WIDTH, TOKENS = 6, 64


def nets() -> list[Model]:
    import torch
    from minGRU_pytorch.minLM import minLM
    from ncps.torch import LTC, CfC
    from ncps.wirings import AutoNCP

    torch.manual_seed(0)
    modules = {
        "CfC, 32 units": CfC(WIDTH, 32),
        "CfC, wired, 24 units": CfC(WIDTH, AutoNCP(24, 4), return_sequences=True),
        "LTC, wired, 24 units": LTC(WIDTH, AutoNCP(24, 4)),
    }
    models = [
        of_module(name, _origin("ncps", "Apache-2.0"), _Outputs(module), _sounds, what="a row of 100 steps")
        for name, module in modules.items()
    ]
    language = minLM(num_tokens=TOKENS, dim=32, depth=2, enable_conv=True)
    origin = _origin("minGRU-pytorch", "MIT")
    return [*models, of_module("minLM, minGRUs of 32", origin, language, _tokens, what="a row of 100 tokens")]


def _Outputs(module: Any) -> Any:  # noqa: N802  (makes a class of torch, which may not be installed)
    import torch

    class Outputs(torch.nn.Module):
        """Module that returns the outputs of all steps, without the last state."""

        def __init__(self) -> None:
            super().__init__()
            self.cell = module

        def forward(self, x: Any) -> Any:
            return self.cell(x)[0]

    return Outputs()


def _origin(package: str, licence: str) -> str:
    return f"{package}=={version(package)}, {licence}, random weights"


def _sounds(draw: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    return draw.standard_normal((rows, steps, WIDTH)).astype(np.float32)


def _tokens(draw: np.random.Generator, rows: int, steps: int) -> np.ndarray:
    return draw.integers(0, TOKENS, (rows, steps))
