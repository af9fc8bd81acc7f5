"""One reading of a dataset: the values of Tensors that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...ir.graph import Node


class Reading:
    """One reading of a dataset. values: of Tensors that the dataset is made of, by node. seed: of its orders."""

    def __init__(self, values: Mapping[Node, np.ndarray], seed: int) -> None:
        self.values, self.seed = values, seed

    def value(self, given: Any) -> Any:
        """Return a number or an array that a program gave, of which a Tensor has the run's value."""
        if not isinstance(given, Tensor):
            return given
        return given.node["value"] if given.node.op == "constant" else self.values[given.node]

    def number(self, given: Any) -> int:
        """Return an int that a program gave as such, or as a Tensor."""
        return int(self.value(given))
