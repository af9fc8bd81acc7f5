"""TensorFlow 1.x's ``tf.test``: cases of ``unittest`` with sessions and comparisons of arrays."""

from __future__ import annotations

import os
import random
import tempfile
import unittest
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock as mock

import numpy as np

from ..declare.nest import is_leaf
from ..support.api_guard import api as _api
from .core.graph import get_default_graph, present_session, reset_default_graph, set_random_seed
from .core.names import missing as _missing
from .core.session import BaseSession, Session, get_default_session

__all__ = (
    "SEED", "BaseSession", "Session", "TestCase", "get_default_graph", "get_default_session", "get_temp_dir",
    "gpu_device_name", "is_built_with_cuda", "is_gpu_available", "is_leaf", "main", "present_session",
    "reset_default_graph", "set_random_seed",
)  # fmt: skip

SEED = 87654321
"""Of NumPy, of Python and of each case's graph, as TensorFlow has it."""


@_api
def main(argv: Any = None) -> None:
    """Runs all cases of the file that is run."""
    unittest.main(argv=argv)


@_api
def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """False: there is one processor."""
    return False


@_api
def is_built_with_cuda() -> bool:
    """False."""
    return False


@_api
def gpu_device_name() -> str:
    """Nothing: there is none."""
    return ""


@_api
def get_temp_dir() -> str:
    """A directory for a test's files."""
    return os.path.join(tempfile.gettempdir(), "rnngraph-tests")


class TestCase(unittest.TestCase):
    """``tf.test.TestCase``: each test begins with an empty graph, and with the same random numbers."""

    __test__ = False  # of others' programs

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__test__ = True

    def setUp(self) -> None:
        random.seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002 - programs of that time draw from it
        reset_default_graph()
        set_random_seed(SEED)

    def get_temp_dir(self) -> str:
        """A directory of this test's own, which goes with it."""
        found: str = self.enterContext(tempfile.TemporaryDirectory())
        return found

    @contextmanager
    def session(
        self, graph: Any = None, config: Any = None, use_gpu: bool = False, force_gpu: bool = False
    ) -> Iterator[BaseSession]:  # fmt: skip
        """A session of the current graph, or of ``graph``."""
        with Session(graph=get_default_graph() if graph is None else graph, config=config) as made:
            yield made

    cached_session = session

    @property
    def test_session(self) -> Callable[..., Any]:
        """``session``; a property, as ``unittest`` would take a method of this name for a test."""
        return self.session

    def evaluate(self, tensors: Any) -> Any:
        """What the session that is open gives."""
        return present_session().run(tensors)

    # Comparisons of arrays, Tensors and nests of them ------------------------------------------------

    def assertAllClose(self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6, msg: str | None = None) -> None:
        """|a - b| <= atol + rtol |b| everywhere, in nests of the same structure."""
        self._each(
            a, b, lambda x, y, where: np.testing.assert_allclose(x, y, rtol, atol, err_msg=f"{msg or ''}{where}")
        )

    def assertAllCloseAccordingToType(
        self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6, float_rtol: float = 1e-6,
        float_atol: float = 1e-6, half_rtol: float = 1e-3, half_atol: float = 1e-3, bfloat16_rtol: float = 1e-2,
        bfloat16_atol: float = 1e-2, msg: str | None = None,
    ) -> None:  # fmt: skip
        """The same, looser for float32."""
        narrow = any(self._array(item).dtype == np.float32 for item in (a, b))
        wide = max(rtol, float_rtol if narrow else 0.0), max(atol, float_atol if narrow else 0.0)
        self.assertAllClose(a, b, *wide, msg)

    def assertAllEqual(self, a: Any, b: Any, msg: str | None = None) -> None:
        """Equal entries, and NaN where NaN is."""
        self._each(a, b, lambda x, y, where: np.testing.assert_array_equal(x, y, err_msg=f"{msg or ''}{where}"))

    def assertNotAllClose(self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6, msg: str | None = None) -> None:
        """Not close somewhere."""
        try:
            self.assertAllClose(a, b, rtol, atol)
        except AssertionError:
            return
        raise AssertionError(msg or "the two values are close at all elements")

    def assertNear(self, f1: float, f2: float, err: float, msg: str | None = None) -> None:
        """Numbers within ``err`` of each other, or equal."""
        _expect(f1 == f2 or abs(f1 - f2) <= err, f"{f1} != {f2} +/- {err}{f': {msg}' if msg else ''}")

    def assertArrayNear(self, farray1: Any, farray2: Any, err: float, msg: str | None = None) -> None:
        """Numbers one by one within ``err``."""
        _expect(len(farray1) == len(farray2), msg or f"{len(farray1)} numbers and {len(farray2)}")
        for one, other in zip(farray1, farray2, strict=True):
            self.assertNear(float(one), float(other), err, msg)

    def assertShapeEqual(self, np_array: Any, tf_tensor: Any, msg: str | None = None) -> None:
        """The shape of an array is that of a Tensor."""
        self.assertAllEqual(np_array.shape, tf_tensor.get_shape().as_list(), msg)

    def assertDTypeEqual(self, target: Any, expected_dtype: Any) -> None:
        """The dtype of an array or a Tensor."""
        found = np.dtype(str(target.dtype if hasattr(target, "dtype") else self._array(target).dtype))
        _expect(found == np.dtype(expected_dtype), f"{found} is not {expected_dtype}")

    def assertAllInRange(
        self, target: Any, lower_bound: float, upper_bound: float, open_lower_bound: bool = False,
        open_upper_bound: bool = False,
    ) -> None:  # fmt: skip
        """All entries within bounds."""
        found = self._array(target)
        above = found > lower_bound if open_lower_bound else found >= lower_bound
        below = found < upper_bound if open_upper_bound else found <= upper_bound
        _expect(bool(np.all(above & below)), f"{found} is not within {lower_bound} and {upper_bound}")

    def _array(self, item: Any) -> np.ndarray:
        if get_default_session() is not None and hasattr(item, "op"):
            item = self.evaluate(item)
        return np.asarray(item)

    def _each(self, a: Any, b: Any, compare: Any, where: str = "") -> None:
        """Compares leaf by leaf: a list of numbers is an array."""
        nested = [isinstance(item, Mapping) or (hasattr(item, "_fields") and not is_leaf(item)) for item in (a, b)]
        if not any(nested):
            compare(self._array(a), self._array(b), where)
            return
        first, other = (item._asdict() if hasattr(item, "_fields") else item for item in (a, b))
        _expect(isinstance(first, Mapping) and isinstance(other, Mapping), f"one nest and one array{where}")
        _expect(set(first) == set(other), f"entries {sorted(first)} and {sorted(other)}{where}")
        for key in first:
            self._each(first[key], other[key], compare, f"{where}/{key}")


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def __getattr__(name: str) -> Any:
    raise _missing("test", name)
