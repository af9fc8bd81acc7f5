"""One pass over a dataset, with the values of the Tensors on which the dataset depends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...ir.graph import Node


class Reading:
    """One pass over a dataset.

    Attributes:
        values: Values of the Tensors on which the dataset depends, by node.
        seed: Seed of random orders.
    """

    def __init__(self, values: Mapping[Node, np.ndarray], seed: int) -> None:
        self.values, self.seed = values, seed

    def value(self, item: Any) -> Any:
        """Return a Tensor's value in this pass. Numbers and arrays are returned unchanged."""
        if not isinstance(item, Tensor):
            return item
        return item.node["value"] if item.node.op == "constant" else self.values[item.node]

    def number(self, item: Any) -> int:
        """Return an argument that is a number or a scalar Tensor, such as a batch size, as an int."""
        return int(self.value(item))
