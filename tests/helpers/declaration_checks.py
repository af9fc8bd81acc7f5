"""Checks of every declaration: native code, interpreter, passes, printed form and streams agree."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from declarations import Declaration, declare, shrunk
from poisoned_memory import poisoned_entries

import rnngraph as rg
from rnngraph.declare.nest import paths
from rnngraph.ir.graph import Graph
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.ops import OPS
from rnngraph.ir.text.parser import parse
from rnngraph.passes.lowering.lowered import TAP
from rnngraph.passes.optimization import pipeline
from rnngraph.passes.pipeline import forbidden, run
from rnngraph.passes.split import Split
from rnngraph.passes.train_step import updates_of
from rnngraph.runtime.native import entry as native
from rnngraph.runtime.streams import prepared_step

Arrays = dict[str, np.ndarray]
BASE = {"float32": 2e-5, "float64": 1e-12}


class CheckError(AssertionError):
    """Failed check, with the declaration's text and seed."""

    def __init__(self, declaration: Declaration, check: str, what: str) -> None:
        super().__init__(f"{check}: {what}\n{declaration.text()}")
        self.check = check


def feeds_of(graph: Graph, arrays: Mapping[str, np.ndarray], program: rg.Program) -> Arrays:
    """Return an array for every input and parameter of a graph."""
    counters = {"seed": np.int64(7), "first_row": np.int64(0), "first_step": np.int64(0)}
    known = {**counters, **arrays, **program.parameters}
    return {str(node["label"]): np.asarray(known[str(node["label"])]) for node in graph.inputs}


def inputs_of(graph: Graph, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Return the arrays that a graph reads, by name."""
    labels = {str(node["label"]) for node in graph.inputs}
    return {name: array for name, array in arrays.items() if name in labels}


def flat(result: Any) -> Arrays:
    return dict(paths(result))


def close(dtype: str, native: np.ndarray, wide: np.ndarray, narrow: np.ndarray | None = None) -> str:
    """Return a description of the difference, or "" if ``native`` is close to the value in float64.

    Args:
        dtype: Dtype of the declaration.
        native: Value of native code.
        wide: Value of the interpreter in float64.
        narrow: Value of the interpreter in ``dtype``, whose error is allowed, too; or None.
    """
    if native.shape != wide.shape:
        return f"shape {native.shape}, not {wide.shape}"
    if native.dtype.kind in "ib":
        return "" if np.array_equal(native, wide) else f"{native} is not {wide}"
    finite = np.isfinite(wide)
    if not np.array_equal(native[~finite].astype(float), wide[~finite].astype(float), equal_nan=True):
        return f"{native} is not {wide}"
    error = np.abs(native[finite].astype(np.float64) - wide[finite])
    allowed = BASE[dtype] * (1 + np.abs(wide[finite]))
    if narrow is not None:  # for ill-conditioned graphs NumPy's own error over the whole array is allowed
        own = np.abs(narrow[finite].astype(np.float64) - wide[finite])
        allowed = allowed + 30 * own.max(initial=0.0)
    if not (error <= allowed).all():
        return f"off by {error.max():.3g}, at most {allowed.min():.3g} allowed:\n{native}\nis not\n{wide}"
    return ""


def compare(declaration: Declaration, check: str, native: Arrays, graph: Graph, feeds: Arrays) -> None:
    wide = interpret(graph, feeds, wide=True)
    narrow: Arrays | None = None
    derived = check == "gradients"
    wanted = {
        name: wide[name] for name in wide if name.startswith("gradient/") == derived or (name == "loss" and derived)
    }
    if native.keys() != wanted.keys():
        raise CheckError(declaration, check, f"outputs {sorted(native)}, not {sorted(wanted)}")
    for name, expected in wanted.items():
        problem = close(declaration.dtype, native[name], expected)
        if problem:
            if narrow is None:
                narrow = interpret(graph, feeds)
            problem = close(declaration.dtype, native[name], expected, narrow[name])
        if problem:
            raise CheckError(declaration, check, f"output {name} {problem}\n{graph}")


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill scratch memory with NaN before every call, which reveals reads of uninitialised memory."""
    take, fresh = native.NativeEntry.take, native.aligned_bytes

    def full(count: int, purpose: str = "") -> np.ndarray:
        memory = fresh(count)
        memory[...] = 0xFF
        return memory

    def taken(entry: native.NativeEntry, count: int) -> np.ndarray:
        arena = take(entry, count)
        arena[...] = 0xFF
        return arena

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native.NativeEntry, "take", taken)
        for module in (native, prepared_step):
            patch.setattr(module, "aligned_bytes", full)
        yield


def check_native(declaration: Declaration, program: rg.Program, arrays: Arrays) -> None:
    """Compare inference, training and evaluation with the interpreter. Check that ``out=`` changes no bit."""
    graph = program.inference.graph
    result = flat(program.inference(inputs_of(graph, arrays)))
    own = {name: np.full_like(array, 77) for name, array in result.items()}
    program.inference(inputs_of(graph, arrays), out=own)
    for name, array in result.items():
        if not np.array_equal(own[name], array, equal_nan=True):
            raise CheckError(declaration, "out=", f"output {name}\n{own[name]}\nis not\n{array}")
    compare(declaration, "inference", result, graph, feeds_of(graph, arrays, program))
    graph = program.training.graph
    result = flat(program.training(inputs_of(graph, arrays), seed=7))
    compare(declaration, "training", result, graph, feeds_of(graph, arrays, program))
    if program.loss is not None:
        graph = program.evaluation.graph
        result = flat(program.evaluate(inputs_of(graph, arrays)))
        compare(declaration, "evaluate", result, graph, feeds_of(graph, arrays, program))


def check_gradients(declaration: Declaration, program: rg.Program, arrays: Arrays) -> bool:
    """Compare native gradients with the interpreter's, and the interpreter's with finite differences of the loss.

    Return False if there is nothing to differentiate.
    """
    if program.loss is None or not any(array.size for array in program.parameters.values()):
        return False
    graph = program.training.graph
    loss, gradients = program.training.gradients(inputs_of(graph, arrays), seed=7)
    plain = feeds_of(graph, arrays, program)
    native = with_loss(loss, gradients)
    compare(declaration, "gradients", native, graph, plain)
    floats = [name for name, array in inputs_of(graph, arrays).items() if array.dtype.kind == "f"]
    fed = [name for name in floats if name not in program.parts.lowered.keep_probs]
    if fed:  # with gradients of feeds, another graph saves more values
        loss, more = program.training.gradients(inputs_of(graph, arrays), seed=7, wrt=fed)
        whole = program.training._gradients.graph(tuple(fed), ()).graph
        native = with_loss(loss, more)
        compare(declaration, "gradients", native, whole, feeds_of(whole, arrays, program))
    check_slope(declaration, graph, plain, list(gradients))
    return True


def with_loss(loss: np.ndarray, gradients: Mapping[str, np.ndarray]) -> Arrays:
    """Return the loss and gradients by the names of a gradient graph's outputs."""
    return {"loss": np.asarray(loss), **{f"gradient/{name}": array for name, array in gradients.items()}}


def updates(program: rg.Program, arrays: Arrays) -> Arrays:
    """Return the values after a step, by the interpreter, of the parameters that the declaration updates."""
    declared = program.parts.lowered.graph
    result = Split(training=True)(Graph.of("updates", list(updates_of(declared).items()), declared.inputs))
    return interpret(result, feeds_of(result, arrays, program), wide=True)


def check_step(declaration: Declaration, program: rg.Program, arrays: Arrays) -> None:
    """Check that a trainer's step returns the loss of ``program.training``, and applies its gradients."""
    before = {name: array.copy() for name, array in program.parameters.items()}
    feeds = inputs_of(program.training.graph, arrays)
    loss, gradients = program.training.gradients(feeds, seed=7)
    if not all(np.isfinite(array).all() for array in (loss, *gradients.values())):
        return
    if not any(np.any(array) for array in gradients.values()):
        return
    updated = updates(program, arrays)
    value = rg.Trainer(program, rg.SGD(0.5)).step(feeds, seed=7)
    if problem := close(declaration.dtype, np.asarray(value, loss.dtype), np.asarray(loss, np.float64)):
        raise CheckError(declaration, "step", f"the loss {problem}")
    for name, array in before.items():
        frozen = not program.parameters.slot(name).trainable
        moved = updated.get(name, array) if frozen else array.astype(np.float64) - 0.5 * gradients[name]
        if problem := close(declaration.dtype, program.parameters[name], moved):
            raise CheckError(declaration, "step", f"parameter {name} {problem}")
    program.parameters.replace(before)


def check_without_dropout(declaration: Declaration, program: rg.Program, arrays: Arrays) -> bool:
    """Compare the loss of both graphs with the interpreter. Return False if graphs differ by design."""
    random = any(OPS[node.op].random for node in program.training.graph.walk())
    differs = any(word in declaration.text() for word in ("by_graph", "batch_normalization"))
    if program.loss is None or random or differs:
        return False
    actual = {
        "evaluate": program.evaluate(inputs_of(program.evaluation.graph, arrays))["loss"],
        "training": program.training(inputs_of(program.training.graph, arrays), seed=7)["loss"],
    }
    wide = interpret(program.evaluation.graph, feeds_of(program.evaluation.graph, arrays, program), wide=True)["loss"]
    narrow = interpret(program.evaluation.graph, feeds_of(program.evaluation.graph, arrays, program))["loss"]
    for name, loss in actual.items():
        if problem := close(declaration.dtype, np.asarray(loss), wide, narrow):
            raise CheckError(declaration, name, f"the loss {problem}")
    return True


def check_threads(declaration: Declaration, program: rg.Program, arrays: Arrays) -> None:
    """Check that two workers compute the same bits as one worker."""
    shared = declaration.compile(threads=2)
    feeds, trained = inputs_of(program.inference.graph, arrays), inputs_of(program.training.graph, arrays)
    evaluated = inputs_of(program.evaluation.graph, arrays) if program.loss is not None else {}
    pairs = [(flat(of.inference(feeds)), flat(of.training(trained, seed=7))) for of in (program, shared)]
    if program.loss is not None and any(array.size for array in program.parameters.values()):
        pairs = [
            (*pair, flat(of.evaluate(evaluated)), with_loss(*of.training.gradients(trained, seed=7)))
            for pair, of in zip(pairs, (program, shared), strict=True)
        ]
    for number, (ours, theirs) in enumerate(zip(*pairs, strict=True)):
        for name, array in ours.items():
            if not np.array_equal(array, theirs[name], equal_nan=True):
                what = ("inference", "training", "evaluate", "gradients")[number]
                raise CheckError(declaration, "threads", f"{what}: output {name}\n{theirs[name]}\nis not\n{array}")


def check_slope(declaration: Declaration, graph: Graph, feeds: Arrays, labels: Sequence[str]) -> None:
    """Compare the interpreter's gradients with respect to inputs with finite differences of its loss."""
    feeds = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in feeds.items()}
    exact = interpret(graph, feeds, wide=True)
    if not np.isfinite(exact["loss"]):
        return
    generator = np.random.default_rng(declaration.seed)
    direction = {name: generator.normal(size=feeds[name].shape) for name in labels}
    slope = sum(float(np.sum(exact[f"gradient/{name}"] * step)) for name, step in direction.items())
    results = []
    for size in (1e-5, 1e-6, 1e-7):  # several sizes, because one may cross a kink of a relu or a maximum
        ends = []
        for sign in (size, -size):
            moved = feeds | {name: feeds[name] + sign * step for name, step in direction.items()}
            ends.append(float(interpret(graph, moved, wide=True)["loss"]))
        results.append((ends[0] - ends[1]) / (2 * size))
        if abs(results[-1] - slope) <= 1e-4 * (1 + abs(slope)):
            return
    raise CheckError(declaration, "slope", f"the loss changes by {results} and its gradient says {slope}\n{graph}")


def check_taps(declaration: Declaration, program: rg.Program, arrays: Arrays) -> bool:
    """Compare taps in both graphs, and gradients of taps, with the interpreter and with finite differences.

    Return False if there are no taps.
    """
    result = False
    for graphs, options in ((program.inference, {}), (program.training, {"seed": 7})):
        compiled = graphs._with_taps()
        if compiled is None:
            continue
        result = True
        taps = graphs.taps(inputs_of(compiled.graph, arrays), **options)
        pruned = compiled.pruned(tuple(TAP + name for name in taps))
        native = {TAP + name: array for name, array in taps.items()}
        compare(declaration, "taps", native, pruned, feeds_of(pruned, arrays, program))
    wanted = tuple(program.training._gradients.tap_types())
    if program.loss is None or not wanted:
        return result
    graph = program.training._gradients.graph(wanted, ()).graph
    inputs = inputs_of(graph, arrays)
    loss, gradients = program.training.gradients(inputs, seed=7, wrt=wanted)
    zeros = program.training._gradients.zeros_for_taps(program.training._gradients.graph(wanted, ()), inputs, None)
    feeds = feeds_of(graph, {**arrays, **zeros}, program)
    compare(declaration, "gradients", with_loss(loss, gradients), graph, feeds)
    check_slope(declaration, graph, feeds, wanted)
    return True


def check_samples(declaration: Declaration, program: rg.Program, arrays: Arrays) -> None:
    """Compare a call that draws several samples with calls of the interpreter, one for each sample's seed."""
    graph = program.training.graph
    drawn = flat(program.training(inputs_of(graph, arrays), seed=7, samples=2))
    for draw in range(2):
        feeds = feeds_of(graph, arrays, program)
        if "seed" in feeds:
            feeds["seed"] = np.int64(7 + draw * 2**32)
        compare(declaration, "samples", {name: array[draw] for name, array in drawn.items()}, graph, feeds)


def check_masks(declaration: Declaration, program: rg.Program, arrays: Arrays) -> None:
    """Check that ``dropout_masks`` equals the interpreter's draws bit for bit, and contains only 0 and 1."""
    graph = program.parts.lowered.masks
    masks = program.training.dropout_masks(inputs_of(graph, arrays), seed=7)
    if not graph.outputs:
        assert masks == {}
        return
    expected = interpret(graph, feeds_of(graph, arrays, program))
    for name, mask in masks.items():
        if not np.array_equal(mask, expected[name]) or not np.isin(mask, (0, 1)).all():
            raise CheckError(declaration, "masks", f"{name}: {mask} is not {expected[name]}")


def check_findings(declaration: Declaration, program: rg.Program, arrays: Arrays) -> None:
    """Check that ``program.check`` reports a value whenever a result is not finite, also for feeds that overflow."""
    scale = np.finfo(declaration.dtype).max ** 0.8
    floats = {name for name, array in arrays.items() if array.dtype.kind == "f"} - program.parts.lowered.keep_probs
    for inputs in (arrays, arrays | {name: (arrays[name] * scale).astype(declaration.dtype) for name in floats}):
        feeds = inputs_of(program.inference.graph, inputs)
        results = flat(program.inference(feeds))
        if any(np.isnan(array).any() for array in results.values()) and program.inference.check(feeds) is None:
            raise CheckError(declaration, "findings", f"none in inference, which gives\n{results}")
        feeds = inputs_of(program.training.graph, inputs)
        if program.loss is None or not program.parameters:
            continue
        loss, gradients = program.training.gradients(feeds, seed=7)
        finite = all(np.isfinite(array).all() for array in (loss, *gradients.values()))
        if not finite and program.training.check(feeds, seed=7) is None:
            raise CheckError(declaration, "findings", f"none in training, which gives\n{loss} {gradients}")


def check_passes(declaration: Declaration, program: rg.Program, arrays: Arrays) -> None:
    """Check that every pass preserves the values, and that printed graphs can be parsed."""
    for kind in ("inference", "training"):
        lowered = getattr(program, kind).compiled.lowered
        before: Arrays | None = None
        check_printed(declaration, lowered, f"{kind} as lowered")

        def seen(name: str, graph: Graph, kind: str = kind) -> None:
            nonlocal before
            check_printed(declaration, graph, f"{kind} after {name}")
            after = interpret(graph, feeds_of(graph, arrays, program), wide=True)
            for key, value in (before or {}).items():
                if problem := close("float64", after[key].astype(value.dtype), value):
                    raise CheckError(declaration, f"{kind} after {name}", f"output {key} {problem}\n{graph}")
            before = after

        run(lowered, pipeline(kind, declaration.unroll), forbidden(kind), seen)


def without_comments(text: str) -> list[str]:
    lines = (line.split("  # ")[0].rstrip() for line in text.splitlines())
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]


def check_printed(declaration: Declaration, graph: Graph, check: str) -> None:
    if any(node.op == "driver" for node in graph.walk()):
        return
    text = str(graph)
    try:
        reparsed = str(parse(text))
    except Exception as error:
        raise CheckError(declaration, f"{check}, printed", f"{error!r}\n{text}") from error
    if without_comments(reparsed) != without_comments(text):
        raise CheckError(declaration, f"{check}, printed", f"\n{text}\nis read as\n{reparsed}")


def check_stream(declaration: Declaration, program: rg.Program, arrays: Arrays) -> bool:
    """Check that a stream in steps or chunks has the whole call's bits. Return False if there is no stream."""
    if not declaration.streams or all(node.op != "scan" for node in program.inference.graph.nodes):
        return False
    if any(sum("T" in str(axis) for axis in value.axes) > 1 for value in declaration.outputs.values()):
        return False
    try:
        stream = program.inference.stream(batch=declaration.batch)
    except rg.GraphError:
        return False
    # A stream carries the states of all layers, so that it may need an initial state that the outputs don't need.
    feeds = {name: array for name, array in arrays.items() if name in stream._types}
    if any("T" in declaration.feeds[name].axes and stream._time_axis[name] is None for name in feeds):
        return False  # a sequence without a recurrence is not split into steps
    if all("T" not in declaration.feeds[name].axes for name in feeds):
        return False
    time = declaration.time
    try:
        stream.flush(cut(declaration, feeds, time // stream.rate * stream.rate, time, only_sequences=True))
    except rg.GraphError:  # the graph has no remainder of this length, or no delayed outputs
        time -= time % stream.rate
    taken_whole = inputs_of(program.inference.graph, arrays)
    whole = flat(program.inference(cut(declaration, taken_whole, 0, time)))
    for size in (0, 1, 2, 3):  # 0: step by step
        stream.reset()
        check_streamed(declaration, stream, feeds, time, size, whole)
    return True


def cut(
    declaration: Declaration, arrays: Arrays, start: int, stop: int, only_sequences: bool = False
) -> dict[str, np.ndarray]:
    """Return the feeds from step ``start`` to before step ``stop``."""
    results = {}
    for name, array in arrays.items():
        axes = list(declaration.feeds[name].axes)
        if "T" in axes:
            results[name] = np.take(array, range(start, stop), axes.index("T"))
        elif not only_sequences:
            results[name] = array
    return results


def check_streamed(declaration: Declaration, stream: Any, inputs: Arrays, time: int, size: int, whole: Arrays) -> None:
    """Check a stream in chunks of ``size`` steps, and its end."""
    rate, parts = stream.rate, []
    steps = time // rate
    for first in range(0, steps, size or 1):
        last = min(first + (size or 1), steps)
        chunk = cut(declaration, inputs, first * rate, last * rate)
        if size:
            parts.append(flat(stream.process(chunk)))
            continue
        for name, axis in stream._graph.axes.omitted.items():
            if name in chunk and axis is not None:
                chunk[name] = np.squeeze(chunk[name], axis)
        single = flat(stream.step(chunk))
        axes = {name: stream._graph.axes.outputs_omitted[name] for name in single}
        parts.append({n: array if axes[n] is None else np.expand_dims(array, axes[n]) for n, array in single.items()})
    if stream._graph.tail is not None:
        parts.append(flat(stream.flush(cut(declaration, inputs, steps * rate, time, only_sequences=True))))
    if not parts:  # the sequence has no steps
        return
    for name, value in declaration.outputs.items():
        pieces, place = (
            [part[name] for part in parts],
            next((i for i, a in enumerate(value.axes) if "T" in str(a)), None),
        )
        got = pieces[-1] if place is None else np.concatenate(pieces, place)
        early = 0 if place is None else got.shape[place] - whole[name].shape[place]
        if early:
            before, got = np.split(got, [early], place)
            if before.any() or (
                steps and early * steps != stream.delay * sum(item.shape[place] for item in pieces[:-1])
            ):
                raise CheckError(declaration, f"stream in chunks of {size}", f"output {name} begins with {before}")
        if not np.array_equal(got, whole[name], equal_nan=True):
            what = f"output {name}\n{got}\nis not\n{whole[name]}"
            raise CheckError(declaration, f"stream in chunks of {size}", what)


def check_rows(declaration: Declaration, program: rg.Program, arrays: Arrays) -> bool:
    """Check that a row alone has the same bits as in a batch. Return False if rows are not independent."""
    separate = {
        name: list(v.axes).index("B")
        for name, v in declaration.outputs.items()
        if v.row_wise and list(v.axes).count("B") == 1
    }
    if not separate or f"({declaration.batch}," in declaration.lines[0] or declaration.batch < 2:
        return False
    if any(isinstance(dim, int) for dim in _declared_batches(declaration, program)):
        return False
    feeds = inputs_of(program.inference.graph, arrays)
    whole = flat(program.inference(feeds))
    row = declaration.seed % declaration.batch
    alone = {
        name: np.take(array, [row], list(declaration.feeds[name].axes).index("B"))
        if "B" in declaration.feeds[name].axes
        else array
        for name, array in feeds.items()
    }
    single = flat(program.inference(alone))
    for name, axis in separate.items():
        if not np.array_equal(single[name], np.take(whole[name], [row], axis), equal_nan=True):
            raise CheckError(
                declaration,
                "a row alone",
                f"output {name}\n{single[name]}\nis not\n{np.take(whole[name], [row], axis)}",
            )
    return True


def _declared_batches(declaration: Declaration, program: rg.Program) -> list[Any]:
    results = []
    for node in program.inference.graph.inputs:
        feed = declaration.feeds.get(str(node["label"]))
        if feed is not None and "B" in feed.axes:
            results.append(node.shape[list(feed.axes).index("B")])
    return results


def check_all(declaration: Declaration) -> list[str]:
    """Run all checks, and return the names of those that applied."""
    try:
        with poisoned_entries(), poisoned(), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*the loss does not depend|.*their gradients are zero", UserWarning)
            return _check_all(declaration)
    except CheckError:
        raise
    except Exception as error:
        error.add_note(declaration.text())
        raise


def _check_all(declaration: Declaration) -> list[str]:
    program = declaration.compile()
    arrays = declaration.arrays()
    check_passes(declaration, program, arrays)
    check_native(declaration, program, arrays)
    check_masks(declaration, program, arrays)
    check_findings(declaration, program, arrays)
    done = ["passes", "native", "masks", "findings"]
    if declaration.seed % 3 == 0:
        check_samples(declaration, program, arrays)
        done.append("samples")
    if check_taps(declaration, program, arrays):
        done.append("taps")
    if check_gradients(declaration, program, arrays):
        check_step(declaration, program, arrays)
        done.append("gradients")
    if check_without_dropout(declaration, program, arrays):
        done.append("losses")
    check_threads(declaration, program, arrays)
    if check_stream(declaration, program, arrays):
        done.append("stream")
    if check_rows(declaration, program, arrays):
        done.append("rows")
    return done


def _fails(declaration: Declaration) -> bool:
    try:
        check_all(declaration)
    except (CheckError, Exception):
        return True
    return False


if __name__ == "__main__":
    drawn = declare(int(sys.argv[1]))
    print(shrunk(drawn, _fails).text() if _fails(drawn) else f"seed {drawn.seed} passes")
