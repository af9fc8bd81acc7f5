"""Expressions of TensorFlow 1's functions, evaluated by TensorFlow or by ``rnngraph.tf1``. Runs on Python 3.7."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .cases import Entry
from .compare import weights_of
from .points import arrays_of
from .recorded import Arrays


def _leaves(item: Any) -> Iterator[Any]:
    if isinstance(item, (tuple, list)):
        for part in item:
            yield from _leaves(part)
    else:
        yield item


class Graph:
    """Graph of an entry's expression. ``tf``: TensorFlow 1, or rnngraph's replacement."""

    def __init__(self, tf: Any, entry: Entry) -> None:
        tf.reset_default_graph()
        used = compile(entry.case.expression, "", "eval").co_names
        arrays = {name: array for name, array in arrays_of(entry.points, entry.dtype).items() if name in used}
        self.tf, self.entry = tf, entry
        self.arguments = {
            name: tf.placeholder(str(array.dtype), (None,) + array.shape[1:], name) for name, array in arrays.items()
        }
        self.feeds = {self.arguments[name]: array for name, array in arrays.items()}
        self.outputs = list(_leaves(eval(entry.case.expression, {"tf": tf, "np": np}, dict(self.arguments))))

    def values(self) -> Arrays:
        """Return the outputs ``y0``, …, and gradients ``dx`` of x."""
        with self.tf.Session() as session:
            results = [np.asarray(item) for item in session.run(self.outputs, self.feeds)]
            found = {"y%d" % place: array for place, array in enumerate(results)}
            floats = {name: item for name, item in self.arguments.items() if item.dtype.is_floating}
            if self.entry.case.gradient is not None and floats:
                chosen = [(item, array) for item, array in zip(self.outputs, results) if array.dtype.kind == "f"]
                weighted = [item * self.tf.constant(weights_of(array)) for item, array in chosen]
                gradients = self.tf.gradients(weighted, list(floats.values()))
                known = {
                    "d" + name: self.tf.convert_to_tensor(item)
                    for name, item in zip(floats, gradients)
                    if item is not None
                }
                found.update(zip(known, session.run(list(known.values()), self.feeds)))
        return found
