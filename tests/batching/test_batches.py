"""Mini-batches: every example exactly once, the same order from the same seed, padding, lengths and windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnngraph as rg
from rnngraph.batching.batches import Batches, Layout
from rnngraph.ir.types import TensorType, size

B, T, S = size("B"), size("T"), size("S")
PLACES: dict[str, tuple[TensorType, int | None, int | None]] = {
    "x": (TensorType("float32", (B, T, 3)), 0, 1),
    "x_time_major": (TensorType("float32", (T, B, 3)), 1, 0),
    "x_last": (TensorType("float32", (B, 3, T)), 0, 2),
    "x_fixed": (TensorType("float32", (B, 6, 3)), 0, 1),
    "tokens": (TensorType("int64", (B, T)), 0, 1),
    "small": (TensorType("int32", (B, T)), 0, 1),
    "shifted": (TensorType("int64", (B, T - 1)), 0, 1),
    "target": (TensorType("int64", (B, S)), 0, 1),
    "y": (TensorType("int64", (B,)), 0, None),
    "features": (TensorType("float32", (B, 2)), 0, None),
    "n": (TensorType("int32", (B,)), 0, None),
    "rate": (TensorType("float32", ()), None, None),
    "position": (TensorType("float32", (T, 3)), None, 0),
    "four": (TensorType("float32", (4, T, 3)), 0, 1),
}


def layout(*names: str, defaults: frozenset[str] = frozenset()) -> Layout:
    places = {name: PLACES[name] for name in names}
    kinds = {name: kind for name, (kind, _, _) in places.items()}
    batch_axis = {name: axis for name, (_, axis, _) in places.items()}
    time_axis = {name: axis for name, (_, _, axis) in places.items()}
    return Layout(kinds, batch_axis, time_axis, defaults)


def batches(examples: dict[str, Any], *more: str, **options: Any) -> Batches:
    options.setdefault("batch_size", 4)
    return Batches(examples, layout(*(name for name in examples if name in PLACES), *more), **options)


def sequences(lengths: list[int], features: tuple[int, ...] = (3,), start: int = 1) -> list[np.ndarray]:
    """Return sequences of floats, each of which occurs once, so that a batch shows its examples."""
    results = []
    for length in lengths:
        count = length * int(np.prod(features))
        results.append(np.arange(start, start + count, dtype=np.float32).reshape(length, *features))
        start += count
    return results


# Order --------------------------------------------------------------------------------------------

counts = st.integers(1, 300)
sizes = st.integers(1, 40)


@given(counts, sizes, st.booleans(), st.booleans(), st.integers(-5, 2**70), st.integers(0, 9), st.data())
@settings(max_examples=60)
def test_every_example_exactly_once(
    count: int, batch_size: int, shuffle: bool, bucket: bool, seed: int, epoch: int, data: st.DataObject
) -> None:
    lengths = np.array(data.draw(st.lists(st.integers(1, 9), min_size=count, max_size=count)))
    examples = {"x": np.zeros((count, 9, 3), np.float32), "n": lengths}
    mini_batches = batches(examples, batch_size=batch_size, shuffle=shuffle, bucket=bucket, seed=seed, lengths="n")
    order = mini_batches.order(epoch)
    assert len(order) == len(mini_batches) == -(-count // batch_size)
    assert sorted(np.concatenate(order).tolist()) == list(range(count))
    assert sorted(map(len, order))[1:] == [batch_size] * (len(order) - 1)
    second = batches(examples, batch_size=batch_size, shuffle=shuffle, bucket=bucket, seed=seed, lengths="n")
    second.order(epoch + 1)  # earlier requests have no effect
    for left, right in zip(order, second.order(epoch), strict=True):
        np.testing.assert_array_equal(left, right)
    if not shuffle:
        np.testing.assert_array_equal(np.concatenate(order), np.arange(count))


def test_resuming_an_epoch_in_the_middle_gives_the_same_batches() -> None:
    examples = {"x": sequences([1 + index % 7 for index in range(50)]), "y": np.arange(50)}
    first = batches(examples, "n", lengths="n", seed=3)
    whole = [first.feeds(rows) for epoch in range(3) for rows in first.order(epoch)]
    second = batches(examples, "n", lengths="n", seed=3)
    resumed = [second.feeds(rows) for rows in second.order(1)[5:]]
    for left, right in zip(whole[13 + 5 : 26], resumed, strict=True):
        assert left.keys() == right.keys() == {"x", "y", "n"}
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


def test_seed_and_epoch_change_the_order() -> None:
    examples = {"y": np.arange(100)}
    orders = [
        np.concatenate(batches(examples, seed=seed).order(epoch)).tolist() for seed in range(3) for epoch in range(3)
    ]
    assert len({tuple(order) for order in orders}) == 9
    assert all(order != sorted(order) for order in orders)


def test_buckets_pad_little_and_shuffle_their_batches() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 101, size=1001)
    examples = {"x": np.zeros((1001, 100, 3), np.float32), "n": lengths}

    def padded(bucket: bool) -> float:
        mini_batches = batches(examples, batch_size=10, bucket=bucket, lengths="n")
        return sum(len(rows) * lengths[rows].max() for rows in mini_batches.order(0)) / lengths.sum()

    assert padded(True) < 1.1
    assert padded(False) > 1.5
    longest = [lengths[rows].max() for rows in batches(examples, batch_size=10, lengths="n").order(0)]
    assert np.abs(np.diff(longest)).mean() > 20  # short and long batches alternate


# Feeds --------------------------------------------------------------------------------------------


def test_an_array_is_cut_into_rows_and_not_copied() -> None:
    x, y = np.random.default_rng(0).normal(size=(10, 5, 3)).astype(np.float32), np.arange(10)
    mini_batches = batches({"x": x, "y": y, "rate": 0.5}, shuffle=False)
    x[3] = 7  # an array that needs no conversion is not copied
    actual = [mini_batches.feeds(rows) for rows in mini_batches.order(0)]
    assert [len(feeds["y"]) for feeds in actual] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([feeds["x"] for feeds in actual]), x)
    np.testing.assert_array_equal(np.concatenate([feeds["y"] for feeds in actual]), y)
    assert all(feeds["x"].dtype == np.float32 and feeds["x"].flags.c_contiguous for feeds in actual)
    assert all(feeds["rate"] == np.float32(0.5) and feeds["rate"].dtype == np.float32 for feeds in actual)


@pytest.mark.parametrize("name", ["x", "x_time_major", "x_last"])
@pytest.mark.parametrize("listed", [False, True])
def test_axes_are_in_the_declared_order(name: str, listed: bool) -> None:
    kind, batch_axis, time_axis = PLACES[name]
    assert batch_axis is not None
    assert time_axis is not None
    shape = [5 if dim == T else dim for dim in kind.shape if dim != B]
    value = np.random.default_rng(0).normal(size=(7, *shape)).astype(np.float32)
    mini_batches = batches({name: list(value) if listed else value})
    feeds = mini_batches.feeds([6, 0, 2])[name]
    assert feeds.flags.c_contiguous
    np.testing.assert_array_equal(feeds, np.stack([value[6], value[0], value[2]], axis=batch_axis))


@pytest.mark.parametrize("name", ["x", "x_time_major", "x_last"])
def test_ragged_examples_are_padded_with_zeros_and_lengths_are_filled(name: str) -> None:
    _, batch_axis, time_axis = PLACES[name]
    assert batch_axis is not None
    assert time_axis is not None
    lengths = [2, 5, 1, 4, 5]
    values = sequences(lengths)
    mini_batches = batches({name: [value.T for value in values] if name == "x_last" else values}, "n", lengths="n")
    feeds = mini_batches.feeds([2, 3, 0])
    assert feeds["n"].dtype == np.int32
    assert feeds["n"].tolist() == [1, 4, 2]
    actual = np.moveaxis(feeds[name], (batch_axis, time_axis), (0, 1))
    assert actual.shape == (3, 4, 3)  # padded to the longest of this batch
    for row, example in zip(actual, (2, 3, 0), strict=True):
        np.testing.assert_array_equal(row[: lengths[example]], values[example])
        assert not row[lengths[example] :].any()


def test_lengths_cut_a_padded_array_and_form_buckets() -> None:
    lengths = np.array([1, 6, 2, 6, 1, 2, 3, 3])
    x = np.random.default_rng(0).normal(size=(8, 9, 3)).astype(np.float32)
    mini_batches = batches({"x": x, "n": lengths}, batch_size=2, lengths="n")
    pairs = {tuple(sorted(lengths[rows].tolist())) for rows in mini_batches.order(0)}
    assert pairs == {(1, 1), (2, 2), (3, 3), (6, 6)}
    feeds = mini_batches.feeds([0, 6])
    np.testing.assert_array_equal(feeds["x"], x[[0, 6], :3])
    assert feeds["n"].dtype == np.int32
    assert feeds["n"].tolist() == [1, 3]


def test_a_length_less_than_the_data_and_equal_lengths() -> None:
    mini_batches = batches({"x": sequences([4, 5]), "n": [2, 3]}, lengths="n")
    assert mini_batches.feeds([0, 1])["x"].shape == (2, 3, 3)
    mini_batches = batches({"x": np.zeros((6, 9, 3))}, "n", lengths="n")
    assert mini_batches.feeds([0, 5])["n"].tolist() == [9, 9]


def test_a_fixed_time_axis_is_padded_to_its_declared_size() -> None:
    mini_batches = batches({"x_fixed": sequences([2, 4])}, "n", lengths="n")
    feeds = mini_batches.feeds([0, 1])
    assert feeds["x_fixed"].shape == (2, 6, 3)
    assert feeds["n"].tolist() == [2, 4]


def test_several_sizes_of_time() -> None:
    examples = {"tokens": [[1, 2, 3], [4]], "target": [[5], [6, 7]], "n": [3, 1]}
    feeds = batches(examples, lengths="n").feeds([0, 1])
    assert feeds["tokens"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert feeds["target"].tolist() == [[5, 0], [6, 7]]
    shifted = batches({"tokens": [[1, 2, 3], [4, 5]], "shifted": [[2, 3], [5]], "n": [2, 1]}, lengths="n")
    assert shifted.feeds([0, 1])["shifted"].tolist() == [[2, 3], [5, 0]]
    assert shifted.feeds([1])["tokens"].tolist() == [[4, 5]]


def test_a_sequence_without_batch_is_cut_to_the_batch() -> None:
    position = np.arange(18, dtype=np.float32).reshape(6, 3)
    mini_batches = batches({"x": sequences([2, 4, 6]), "position": position}, "n", lengths="n")
    np.testing.assert_array_equal(mini_batches.feeds([0, 1])["position"], position[:4])


def test_examples_are_converted_like_feeds() -> None:
    mini_batches = batches(
        {
            "x": np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
            "small": [[1, 2, 3, 4], np.array([5, 6, 7, 8], np.int64)],
            "features": ((1, 2), (3.5, 4)),
            "y": np.array([3, 4], ">i2"),
        }
    )
    feeds = mini_batches.feeds([1, 0])
    assert {name: str(array.dtype) for name, array in feeds.items()} == {
        "x": "float32",
        "small": "int32",
        "features": "float32",
        "y": "int64",
    }
    assert feeds["small"].tolist() == [[5, 6, 7, 8], [1, 2, 3, 4]]
    assert feeds["features"].tolist() == [[3.5, 4], [1, 2]]
    assert feeds["y"].tolist() == [4, 3]
    assert feeds["x"][1, 0].tolist() == [0, 1, 2]
    objects = np.empty(2, object)
    objects[:] = [np.ones((2, 3)), np.ones((1, 3))]
    assert batches({"x": objects}, "n", lengths="n").feeds([0, 1])["n"].tolist() == [2, 1]


def test_examples_of_inputs_with_a_default_are_optional() -> None:
    mini_batches = Batches({"y": [1, 2]}, layout("y", "rate", defaults=frozenset({"rate"})), batch_size=1)
    assert mini_batches.feeds([0]).keys() == {"y"}


# Windows ------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 12), min_size=1, max_size=9), st.integers(1, 14), st.sampled_from(["x", "x_time_major"]))
@settings(max_examples=60)
def test_windows_make_up_the_whole(lengths: list[int], window: int, name: str) -> None:
    examples: dict[str, Any] = {name: sequences(lengths), "tokens": [np.arange(length) for length in lengths]}
    mini_batches = batches(examples | {"y": np.arange(len(lengths))}, "n", batch_size=9, lengths="n", window=window)
    feeds = mini_batches.feeds(np.arange(len(lengths)))
    cut = [part for _, part in mini_batches.windows(feeds)]
    assert mini_batches.count_windows(np.arange(len(lengths))) == len(cut)
    for first in (1, max(lengths) - 1, max(lengths)):
        assert mini_batches.count_windows(np.arange(len(lengths)), first) == len(
            list(mini_batches.windows(feeds, first))
        )
    assert len(cut) == -(-max(lengths) // window)
    for key, axis in ((name, PLACES[name][2]), ("tokens", 1)):
        assert axis is not None
        np.testing.assert_array_equal(np.concatenate([part[key] for part in cut], axis), feeds[key])
        assert all(part[key].shape[axis] == window for part in cut[:-1])
    np.testing.assert_array_equal(sum(part["n"] for part in cut), lengths)
    assert all(part["n"].dtype == np.int32 and part["n"].max() > 0 for part in cut)
    assert all(part["y"] is feeds["y"] for part in cut)


def test_windows_that_no_row_reaches_are_left_out_and_no_window_is_the_whole() -> None:
    mini_batches = batches({"x": sequences([3, 3])}, "n", lengths="n", window=2)
    feeds = {"x": np.zeros((2, 9, 3), np.float32), "n": np.array([1, 3], np.int32)}
    assert [part["n"].tolist() for _, part in mini_batches.windows(feeds)] == [[1, 2], [0, 1]]
    mini_batches = batches({"x": sequences([3, 3])}, "n", lengths="n")
    ((_, part),) = mini_batches.windows(feeds)
    assert part == feeds
    assert part is not feeds
    assert (mini_batches.count_windows(np.array([0, 1])), mini_batches.count_windows(np.array([0]), 1)) == (1, 1)
    unmeasured = batches({"x": np.zeros((2, 5, 3)), "position": np.zeros((5, 3))}, window=3)
    assert unmeasured.count_windows(np.array([1])) == 2
    assert [part["position"].shape[0] for _, part in unmeasured.windows(unmeasured.feeds([0, 1]))] == [3, 2]


# Errors -------------------------------------------------------------------------------------------

OK = np.zeros((3, 5, 3), np.float32)
UNLIKE = [np.zeros((5, 3)), np.zeros((4, 3)), np.zeros((5, 2))]
Options = dict[str, Any]
LENGTHS = {"lengths": "n"}
MISTAKES: dict[str, tuple[dict[str, Any], Options, type[Exception], str]] = {
    "counts": ({"x": OK, "y": [1, 2]}, {}, rg.ShapeError, "3 examples of x and 2 of y"),
    "rank": ({"x": OK[0]}, {}, rg.ShapeError, r"examples of x have shape \(5, 3\).*give \[examples,T,3\]"),
    "rank_of_one": ({"x": [OK[0], OK]}, {}, rg.ShapeError, r"example 1 of x has shape \(3, 5, 3\).*give \[T,3\]"),
    "features": ({"x": OK[..., :2]}, {}, rg.ShapeError, "examples of x .*: axis 1 of an example must be 3"),
    "features_of_one": ({"x": UNLIKE}, {}, rg.ShapeError, "example 2 of x .*: axis 1 of an example must be 3"),
    "unlike": ({"features": [[1, 2], [3]]}, {}, rg.ShapeError, r"example 1 of features has shape \(1,\) and example 0"),
    "no_example": ({"x": []}, {}, rg.ShapeError, "no examples of x"),
    "no_row": ({"x": OK[:0]}, {}, rg.ShapeError, "no examples of x"),
    "empty": ({"x": OK[:, :0]}, {}, rg.ShapeError, "axis 0 of an example is empty"),
    "empty_one": ({"x": [OK[0], OK[0, :0]]}, {}, rg.ShapeError, "example 1 of x .*axis 0 of an example is empty"),
    "ragged": ({"x": sequences([4, 4, 3])}, {}, rg.ShapeError, "differ in length: 4 steps, then 3; .*sequence_length"),
    "apart": (
        {"x": sequences([4, 3]), "tokens": [[1] * 4, [1] * 2]},
        LENGTHS,
        rg.ShapeError,
        r"example 1 has 3 steps in x \(T\) and 2 in tokens \(T\)",
    ),
    "shifted_apart": (
        {"tokens": [[1, 2], [1, 2, 3]], "shifted": [[2], [3]]},
        {},
        rg.ShapeError,
        r"example 1 has 3 steps in tokens \(T\) and 1 in shifted \(T-1\)",
    ),
    "batch_size": ({"x": OK}, {"batch_size": 0}, rg.ArgumentError, "batch_size must be at least 1, not 0"),
    "batch_size_kind": ({"x": OK}, {"batch_size": 2.0}, rg.DtypeError, "batch_size must be an int"),
    "window": ({"x": OK}, {"window": 0}, rg.ArgumentError, "window must be at least 1, not 0"),
    "window_without_time": ({"y": [1]}, {"window": 2}, rg.ArgumentError, "no feed has a time axis"),
    "window_of_two": ({"x": OK, "target": [[1], [2], [3]]}, {"window": 2}, rg.ArgumentError, "x has T, target has S"),
    "window_of_fixed": ({"x_fixed": np.zeros((2, 6, 3))}, {"window": 2}, rg.ArgumentError, "declared with 6 steps"),
    "longer_than_fixed": ({"x_fixed": sequences([6, 7])}, {}, rg.ShapeError, "example 1 of x_fixed has 7 steps"),
    "unknown": ({"x": OK, "z": OK}, {}, rg.NameLookupError, "no input 'z'; it takes x"),
    "missing": ({"x": OK}, {"more": "y"}, rg.NameLookupError, "no examples of y"),
    "lengths_unknown": ({"x": OK}, {"lengths": "m", "more": "y"}, rg.NameLookupError, "lengths='m' is not an input"),
    "lengths_kind": ({"x": OK, "features": np.zeros((3, 2))}, {"lengths": "features"}, rg.DtypeError, r"int \[batch\]"),
    "lengths_of_nothing": ({"y": [1, 2]}, LENGTHS, rg.ArgumentError, "leave out lengths="),
    "lengths_of_two": (
        {"x": OK, "target": [[1], [2, 3], [4]]},
        LENGTHS,
        rg.ArgumentError,
        "x has T, target has S; give n with the examples",
    ),
    "length_zero": ({"x": OK, "n": [5, 0, 1]}, LENGTHS, rg.ShapeError, r"length 1 of n is 0"),
    "length_long": ({"x": OK, "n": [5, 2, 6]}, LENGTHS, rg.ShapeError, r"length 2 of n is 6.*in 1\.\.5"),
    "no_batch": ({"rate": 0.5}, {}, rg.ShapeError, "no placeholder has a batch axis"),
    "position": ({"x": OK, "position": OK[0, :4]}, {}, rg.ShapeError, "position has 4 steps, but the longest"),
    "fixed_batch": ({"four": np.zeros((6, 5, 3))}, {}, rg.ShapeError, "with a batch of 4; 6 examples"),
    "dtype": ({"tokens": np.zeros((2, 3))}, {}, rg.DtypeError, "the array of examples of tokens is float64"),
    "dtype_of_one": ({"tokens": [[1, 2], [1, 2.5]]}, {}, rg.DtypeError, "example 1 of tokens is float64"),
    "loss": (
        {"small": [[1, 2], [1, 2**40]]},
        {},
        rg.DtypeError,
        "example 1 of small is int64, with numbers outside of",
    ),
    "text": ({"tokens": [["a"]]}, {}, rg.DtypeError, "example 0 of tokens is <U1.*np.unique"),
    "names": ({"x": OK, "y": np.array(["a", "b", "a"])}, {"more": "y"}, rg.DtypeError, "y is <U1.*return_inverse=True"),
    "column": ({"x": OK, "y": [[0], [1], [0]]}, {"more": "y"}, rg.ShapeError, r"give \[examples\], as array\[:, 0\]"),
    "single": ({"x": OK[0]}, {}, rg.ShapeError, r"give \[examples,T,3\]; a single example .* \[example\]"),
    "no_array": ({"x": [[[1, 2, 3], [4]]]}, {}, rg.ShapeError, "example 0 of x is not an array"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_name_the_placeholder_and_the_example(name: str) -> None:
    examples, options, kind, text = MISTAKES[name]
    options = dict(options)
    more = [options.pop("more")] if "more" in options else []
    more += [options["lengths"]] if options.get("lengths") == "n" and "n" not in examples else []
    with pytest.raises(kind, match=text) as caught:
        batches(examples, *more, **options)
    assert __file__.rsplit("/", 1)[-1] in str(caught.value)


def test_a_fixed_batch_that_fits() -> None:
    mini_batches = batches({"four": np.zeros((8, 5, 3))})
    assert [mini_batches.feeds(rows)["four"].shape for rows in mini_batches.order(0)] == [(4, 5, 3)] * 2
