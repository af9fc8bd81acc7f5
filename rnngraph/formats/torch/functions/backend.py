"""Backend of ``formats.operators`` for torch: materializes lazy values, and decides comparisons by the example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ir.types import Dim
from ...operators.backend import ScriptBackend
from ...steps import Value
from ..tracing.kinds import Function
from ..tracing.tracer import Tracer
from .shapes import expanded, permuted, reshaped


class TorchBackend(ScriptBackend):
    """Backend that declares calls in a tracer's script."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer.script)
        self.tracer = tracer

    def call(self, function: Function, *operands: Any, **keywords: Any) -> Value:
        return self.tracer.call(function, *operands, **keywords)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        return self.tracer.value(permuted(self.tracer, x, order))

    def reshape(self, x: Value, shape: Sequence[Dim]) -> Value:
        return self.tracer.value(reshaped(self.tracer, x, shape))

    def broadcast(self, x: Value, shape: Sequence[Dim]) -> Value:
        return self.tracer.value(expanded(self.tracer, x, shape))
