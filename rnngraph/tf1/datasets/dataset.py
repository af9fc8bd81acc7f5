"""``tf.data.Dataset``, whose elements come from Python iterators."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ...declare.nest import flatten, map_leaves, matched, pack
from ...declare.tensor import Tensor
from ...support.api_guard import api
from ...support.arguments import one_of
from ...support.errors import DtypeError, NotOfferedError, ShapeError, StructureError, shown
from ..core.graph import get_default_graph
from .batches import Element, Stream, in_batches, interleaved, padded, repeated, shuffled, stacked
from .functions import ElementFunction
from .iterators import Iterator, make_initializable_iterator, make_one_shot_iterator
from .reading import Reading
from .shapes import shapes_in
from .sources import TEXT, Component, Structured, array_in, component_dtype

Begin = Callable[[Reading], Stream]


class Dataset(Structured):
    """``tf.data.Dataset``. Iterators such as ``make_one_shot_iterator`` read its elements.

    Attributes:
        structure: Nest of the components of an element.
        elements: Function from a ``Reading`` to an iterator over the elements.
        sources: Tensors on which the dataset depends.
    """

    def __init__(self, structure: Any, elements: Begin, sources: Sequence[Any] = ()) -> None:
        self.structure, self.elements = structure, elements
        self.sources: list[Tensor] = [
            item for item in sources if isinstance(item, Tensor) and item.node.op != "constant"
        ]

    def derive(self, structure: Any, elements: Begin, *arguments: Any) -> Dataset:
        """Return a dataset that depends on this one, and on numbers, Tensors or datasets in ``arguments``."""
        inner = [source for item in arguments if isinstance(item, Dataset) for source in item.sources]
        tensors = [item for item in arguments if isinstance(item, Tensor)]
        return Dataset(structure, elements, [*self.sources, *inner, *tensors])

    # Sources of elements ---------------------------------------------------------------------------

    @staticmethod
    @api
    def from_tensors(tensors: Any) -> Dataset:
        """Return a dataset whose only element is ``tensors``."""
        nest, arrays = _arrays(tensors)
        structure = pack(nest, [_component(item) for item in arrays])
        return Dataset(structure, lambda reading: iter([[np.asarray(reading.value(item)) for item in arrays]]), arrays)

    @staticmethod
    @api
    def from_tensor_slices(tensors: Any) -> Dataset:
        """Return a dataset whose elements are the entries of arrays along the first axis."""
        nest, arrays = _arrays(tensors)
        components = [_component(item) for item in arrays]
        if any(item.shape is not None and not item.shape for item in components):
            raise ShapeError("from_tensor_slices needs arrays with a first axis, not scalars; use from_tensors")

        def elements(reading: Reading) -> Stream:
            values = [np.asarray(reading.value(item)) for item in arrays]
            if len({len(item) for item in values}) > 1:
                raise ShapeError(f"from_tensor_slices needs arrays of one length, not {[len(item) for item in values]}")
            yield from zip(*values, strict=True)

        return Dataset(pack(nest, [item.unbatched() for item in components]), elements, arrays)

    @staticmethod
    @api
    def from_generator(generator: Any, output_types: Any, output_shapes: Any = None, args: Any = None) -> Dataset:
        """Return a dataset of the elements of a Python generator.

        Args:
            generator: Function that returns a generator.
            output_types: Nest of the dtypes of the components.
            output_shapes: Nest of shapes. By default, ranks are those of the first element; with ``args``, unknown.
            args: Arguments of ``generator``.
        """
        if not callable(generator):
            raise DtypeError(f"from_generator needs a function that returns a generator, not {shown(generator)}")
        dtypes = [component_dtype(item) for item in flatten(output_types)]
        arguments = [array_in(item) if not isinstance(item, Tensor) else item for item in args or ()]

        def elements(reading: Reading) -> Stream:
            for item in generator(*(reading.value(part) for part in arguments)):
                parts = flatten_like(output_types, item)
                yield [array_in(part, dtype) for part, dtype in zip(parts, dtypes, strict=True)]

        if output_shapes is None:
            first = None if arguments else next(elements(Reading({}, 0)), None)
            shapes = [None if first is None else (None,) * np.ndim(part) for part in first or dtypes]
        else:
            shapes = shapes_in(output_shapes, output_types)
        components = [Component(dtype, shape) for dtype, shape in zip(dtypes, shapes, strict=True)]
        return Dataset(pack(output_types, components), elements, arguments)

    @staticmethod
    @api
    def range(*limits: Any) -> Dataset:
        """Return a dataset of the int64 numbers of Python's ``range(*limits)``."""

        def elements(reading: Reading) -> Stream:
            for number in range(*(reading.number(limit) for limit in limits)):
                yield [np.asarray(number, "int64")]

        return Dataset(Component("int64", ()), elements, limits)

    @staticmethod
    @api
    def zip(datasets: Any) -> Dataset:
        """Return a dataset whose elements combine one element of each dataset. It ends with the shortest dataset."""
        parts: list[Dataset] = flatten(datasets)

        def elements(reading: Reading) -> Stream:
            for together in zip(*(part.elements(reading) for part in parts), strict=False):
                yield [item for element in together for item in element]

        structure = pack(datasets, [part.structure for part in parts])
        return Dataset(structure, elements, [source for part in parts for source in part.sources])

    def concatenate(self, dataset: Dataset) -> Dataset:
        """Return a dataset of this dataset's elements, followed by those of ``dataset``."""
        both = [
            Component(a.dtype, _common_shape(a.shape, b.shape))
            for a, b in zip(flatten(self.structure), flatten(dataset.structure), strict=True)
        ]
        return self.derive(
            pack(self.structure, both),
            lambda reading: itertools.chain(self.elements(reading), dataset.elements(reading)),
            dataset,
        )

    def make_one_shot_iterator(self) -> Iterator:
        """Return an iterator that needs no initializer: each session starts it on first use."""
        return make_one_shot_iterator(self)

    def make_initializable_iterator(self, shared_name: str | None = None) -> Iterator:
        """Return an iterator that starts when its ``initializer`` runs."""
        return make_initializable_iterator(self, shared_name)

    # Order and number -----------------------------------------------------------------------------

    def shuffle(self, buffer_size: Any, seed: Any = None, reshuffle_each_iteration: bool | None = None) -> Dataset:
        """Return a dataset of the elements in random order, each drawn from the next ``buffer_size`` elements.

        ``reshuffle_each_iteration=False`` repeats one order in every pass.
        """
        graph = get_default_graph()
        graph.draws += 1
        serial, rounds = graph.draws, itertools.count()
        reshuffles = reshuffle_each_iteration is not False

        def elements(reading: Reading) -> Stream:
            own = 0 if seed is None else reading.number(seed)
            draw = np.random.default_rng([abs(reading.seed), abs(own) or serial, next(rounds) if reshuffles else 0])
            return shuffled(self.elements(reading), reading.number(buffer_size), draw)

        return self.derive(self.structure, elements, buffer_size, seed)

    def repeat(self, count: Any = None) -> Dataset:
        """Return a dataset of the elements, repeated ``count`` times; forever for None or -1."""

        def elements(reading: Reading) -> Stream:
            return repeated(lambda: self.elements(reading), None if count is None else reading.number(count))

        return self.derive(self.structure, elements, count)

    def take(self, count: Any) -> Dataset:
        """Return a dataset of the first ``count`` elements, of all elements for -1."""

        def elements(reading: Reading) -> Stream:
            limit = reading.number(count)
            return itertools.islice(self.elements(reading), None if limit < 0 else limit)

        return self.derive(self.structure, elements, count)

    def skip(self, count: Any) -> Dataset:
        """Return a dataset of the elements after the first ``count``, of no elements for -1."""

        def elements(reading: Reading) -> Stream:
            start = reading.number(count)
            return iter(()) if start < 0 else itertools.islice(self.elements(reading), start, None)

        return self.derive(self.structure, elements, count)

    def shard(self, num_shards: Any, index: Any) -> Dataset:
        """Return a dataset of every ``num_shards``-th element, from ``index`` on."""

        def elements(reading: Reading) -> Stream:
            return itertools.islice(self.elements(reading), reading.number(index), None, reading.number(num_shards))

        return self.derive(self.structure, elements, num_shards, index)

    def prefetch(self, buffer_size: Any) -> Dataset:
        """Return the dataset itself: elements are computed when a run reads them."""
        return self

    def cache(self, filename: Any = "") -> Dataset:
        """Return a dataset that keeps its elements in memory after the first complete pass. No file is written."""
        cached: list[Element] = []
        is_whole: list[bool] = []

        def elements(reading: Reading) -> Stream:
            if is_whole:
                yield from cached
                return
            read = []
            for element in self.elements(reading):
                read.append(element)
                yield element
            cached[:] = read
            is_whole.append(True)

        return self.derive(self.structure, elements)

    def with_options(self, options: Any) -> Dataset:
        """Return the dataset itself: options have no effect."""
        return self

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """Return the result of ``transformation_func`` for this dataset."""
        return transformation_func(self)

    # Functions of elements ------------------------------------------------------------------------

    def map(self, map_func: Callable[..., Any], num_parallel_calls: Any = None) -> Dataset:
        """Return a dataset of the results of ``map_func``, whose arguments are the components of an element.

        ``num_parallel_calls`` has no effect.
        """
        function = ElementFunction("Dataset.map", map_func, self.structure)

        def elements(reading: Reading) -> Stream:
            return map(function, self.elements(reading))

        return self.derive(self._result(function), elements)

    def _result(self, function: ElementFunction) -> Any:
        """Return the dtypes and shapes of the results of a function of elements, in their nested structure."""
        if function.is_plain:
            first = next(self.elements(Reading({}, 0)), None) if not self.sources else None
            if first is None:
                raise StructureError(
                    "Dataset.map of strings needs the first element at declaration, but the dataset is empty or "
                    "depends on Tensors; build it from arrays"
                )
            function(first)
            return map_leaves(lambda item: Component(item.dtype, (None,) * len(item.shape)), function.result)
        return function.result

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """Return a dataset of the elements for which ``predicate`` returns True."""
        function = ElementFunction("Dataset.filter", predicate, self.structure)
        return self.derive(
            self.structure, lambda reading: (item for item in self.elements(reading) if bool(function(item)[0]))
        )

    def flat_map(self, map_func: Callable[..., Any]) -> Dataset:
        """Return the concatenation of the datasets that ``map_func`` returns for the elements."""
        return self.interleave(map_func, 1, 1)

    def interleave(
        self, map_func: Callable[..., Any], cycle_length: Any = 1, block_length: Any = 1, num_parallel_calls: Any = None
    ) -> Dataset:
        """Return a dataset that interleaves the elements of the datasets that ``map_func`` returns.

        ``cycle_length`` datasets are open at a time, and each yields ``block_length`` elements in turn.
        ``num_parallel_calls`` has no effect.
        """

        def inner(element: Sequence[Any]) -> Dataset:
            packed = pack(self.structure, list(element))
            result = map_func(*packed) if type(self.structure) is tuple else map_func(packed)
            if not isinstance(result, Dataset):
                raise DtypeError(f"map_func must return a dataset, not {shown(result)}; write Dataset.from_tensors(x)")
            return result

        first = next(self.elements(Reading({}, 0)), None) if not self.sources else None
        if first is None:
            raise StructureError(
                "interleave and flat_map need the first element at declaration, but the dataset is empty or depends on "
                "Tensors; build it from arrays"
            )

        def elements(reading: Reading) -> Stream:
            return interleaved(
                self.elements(reading),
                lambda element: inner(element).elements(reading),
                reading.number(cycle_length),
                reading.number(block_length),
            )

        structure = map_leaves(
            lambda item: Component(item.dtype, None if item.shape is None else tuple(None for _ in item.shape)),
            inner(first).structure,
        )
        return self.derive(structure, elements)

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any]) -> Any:
        """Raise ``NotOfferedError``: reductions over datasets are not offered."""
        raise NotOfferedError("Dataset.reduce is not offered; read the elements, and reduce in the graph or in NumPy")

    # Batches --------------------------------------------------------------------------------------

    def batch(self, batch_size: Any, drop_remainder: Any = False) -> Dataset:
        """Return a dataset of batches: ``batch_size`` elements of one shape, stacked along a first axis.

        ``drop_remainder`` drops a smaller last batch.
        """
        size = int(batch_size) if drop_remainder and not isinstance(batch_size, Tensor) else None
        return self.derive(
            map_leaves(lambda item: item.batched(size), self.structure),
            lambda reading: map(
                stacked, in_batches(self.elements(reading), reading.number(batch_size), bool(drop_remainder))
            ),
            batch_size,
        )

    def padded_batch(
        self, batch_size: Any, padded_shapes: Any, padding_values: Any = None, drop_remainder: Any = False
    ) -> Dataset:
        """Return a dataset of batches, in which each element is padded at its end.

        Args:
            batch_size: Number of elements of a batch.
            padded_shapes: Nest of the shapes to pad to. A size of None or -1 is the largest size in the batch.
            padding_values: Nest of padding values, or one value for all components. None is 0, or an empty string.
            drop_remainder: Drop a smaller last batch.
        """
        components = flatten(self.structure)
        shapes = shapes_in(padded_shapes, self.structure)
        fillers = self.fillers(padding_values)
        size = int(batch_size) if drop_remainder and not isinstance(batch_size, Tensor) else None
        batched = [
            Component(item.dtype, tuple(shape)).batched(size) for item, shape in zip(components, shapes, strict=True)
        ]

        def elements(reading: Reading) -> Stream:
            values = [reading.value(item) for item in fillers]
            batches = in_batches(self.elements(reading), reading.number(batch_size), bool(drop_remainder))
            return (padded(chosen, shapes, values) for chosen in batches)

        return self.derive(pack(self.structure, batched), elements, batch_size, *fillers)

    def fillers(self, values: Any) -> list[Any]:
        """Return the padding value of each component of an element, from the argument ``padding_values``."""
        usual = [b"" if item.dtype == TEXT else 0 for item in flatten(self.structure)]
        if values is None:
            return usual
        leaves = flatten(values)
        fitting = leaves * len(usual) if len(leaves) == 1 else matched(self.structure, values, "padding_values")
        return [default if value is None else value for value, default in zip(fitting, usual, strict=True)]

    def unbatch(self) -> Dataset:
        """Return a dataset of the entries of each element along the first axis."""
        return self.derive(
            map_leaves(lambda item: item.unbatched(), self.structure),
            lambda reading: (row for element in self.elements(reading) for row in zip(*element, strict=True)),
        )


@api
def text_line_dataset(
    filenames: Any, compression_type: Any = None, buffer_size: Any = None, num_parallel_reads: Any = None
) -> Dataset:
    """``tf.data.TextLineDataset``: the lines of files, as strings.

    ``compression_type`` is "GZIP", "ZLIB", or "" or None for plain files. ``buffer_size`` and ``num_parallel_reads``
    have no effect.
    """
    kind = one_of(compression_type or "", "compression_type", ("", "GZIP", "ZLIB"))
    paths = [filenames] if isinstance(filenames, str | bytes | os.PathLike) else list(filenames)

    def elements(reading: Reading) -> Stream:
        for path in paths:
            with _opened(os.fsdecode(path), kind) as file:
                for line in file:
                    yield [np.asarray(line.rstrip(b"\r\n"), object)]

    return Dataset(Component(TEXT, ()), elements)


def _opened(path: str, compression: str) -> BinaryIO:
    """Open a text file for reading its uncompressed bytes; ``compression`` is "GZIP", "ZLIB" or "" for none."""
    if compression == "GZIP":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return io.BytesIO(zlib.decompress(Path(path).read_bytes())) if compression else open(path, "rb")


def _component(item: Any) -> Component:
    """Return the dtype and shape of an array or a Tensor."""
    if isinstance(item, Tensor):
        sizes = tuple(size if isinstance(size, int) else None for size in item.type.shape)
        return Component(str(item.type.dtype), sizes)
    return Component.of(item)


def _arrays(nest: Any) -> tuple[Any, list[Any]]:
    """Convert a nest's lists to arrays. Return (the nest, its leaves, which are arrays and Tensors)."""
    converted = _lists_as_arrays(nest)
    return converted, flatten(converted)


def _lists_as_arrays(nest: Any) -> Any:
    """Return a nest of dicts and tuples with arrays in place of lists and numbers."""
    if isinstance(nest, dict):
        return {key: _lists_as_arrays(nest[key]) for key in sorted(nest)}
    if isinstance(nest, tuple):
        items = map(_lists_as_arrays, nest)
        return type(nest)(*items) if hasattr(nest, "_fields") else tuple(items)
    return nest if isinstance(nest, Tensor) else array_in(nest)


def flatten_like(structure: Any, value: Any) -> list[Any]:
    """Return a list of the parts of ``value`` that stand where ``structure`` has leaves."""
    if isinstance(structure, dict):
        return [leaf for key in structure for leaf in flatten_like(structure[key], value[key])]
    if isinstance(structure, tuple | list):
        if len(structure) != len(value):
            raise StructureError(
                f"an element has {len(value)} components, but output_types has {len(structure)}; give one dtype for "
                "each component"
            )
        return [leaf for part, item in zip(structure, value, strict=True) for leaf in flatten_like(part, item)]
    return [value]


def _common_shape(one: Any, other: Any) -> Any:
    """Return the shape that fits two shapes, with None where sizes differ; None if the ranks differ."""
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))
