"""Execution of random graphs as stored programs, between guard pages, and comparison with the interpreter.

Run as a script, in a process of its own, because one access out of bounds is a crash. Arguments: ``end`` or ``start``
(the side of an array that is next to a guard page), the first seed, the number of graphs, and ``empty`` for symbolic
sizes of 0. Prints ``ok SEED WHAT`` after each graph, and each problem as a line that begins with ``found``.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from guarded_memory import Guard
from hostile_graphs import Hostile, draw
from saved_cases import files_of

import rnngraph as rg
from rnngraph.ir.graph import Graph
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.text.complete import complete_text
from rnngraph.passes.gradients.autodiff import PREFIX
from rnngraph.program.saved.save_load import SavedSource, _safetensors
from rnngraph.runtime.calls.feeds import solve_sizes
from rnngraph.runtime.native.compile_options import ProgramOptions
from rnngraph.runtime.native.weight_options import weight_rules
from rnngraph.support.errors import VerifyError


def files_for(hostile: Hostile, template: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a saved program with a graph that an attacker could have written."""
    constants: dict[str, np.ndarray] = {}
    document = json.loads(template["declaration.json"])
    outputs = [name for name, _ in hostile.graph.outputs]
    document["structure"] = {"dict": [[name, {"leaf": name}] for name in outputs if name != "loss"]}
    updated = {node.operands[1]["label"] for node in hostile.graph.nodes if node.op == "with_update"}
    # in one of ten graphs, updated parameters are trained, which the verifier must refuse
    trained = hostile.parameters.keys() - (updated if hostile.seed % 10 else set())
    document["parameters"] = [
        {
            **document["parameters"][0],
            "name": name,
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "trainable": name in trained,
        }
        for name, array in hostile.parameters.items()
    ]
    files = dict(template)
    stream = Graph.of("declared", [item for item in hostile.graph.outputs if item[0] != "loss"])
    for form in ("plain", "stream", "shown", "given"):
        graph = stream if form == "stream" else hostile.graph
        text = complete_text(graph, constants)
        masks = complete_text(stream, constants) if hostile.seed % 3 == 0 else "graph masks\n"
        files[f"{form}.txt"] = f"{text}{masks}graph initial\n".encode()
    files["declaration.json"] = json.dumps(document).encode()
    files["weights.safetensors"] = _safetensors(hostile.parameters)
    files["arrays.safetensors"] = _safetensors({f"constant/{key}": array for key, array in constants.items()})
    return files


def template() -> dict[str, bytes]:
    x, w = rg.placeholder("x", (None, 3)), rg.parameter("w", (3, 3))
    return files_of(rg.compile({"o": x @ w}, loss=rg.reduce_sum(x @ w), cache=False))


def differences(
    actual: Mapping[str, np.ndarray],
    graph: Graph,
    feeds: Mapping[str, np.ndarray],
    sizes: Mapping[str, int] | None = None,
) -> list[str]:
    """Return outputs that differ from the interpreter's by more than the graph's amplified rounding errors."""
    with np.errstate(all="ignore"):
        narrow = interpret(graph, feeds, sizes=sizes)
        wide = interpret(graph, feeds, wide=True, sizes=sizes)
        return [name for name in actual if not _close(actual[name], narrow[name], wide[name])]


def _close(ours: np.ndarray, theirs: np.ndarray, wide: np.ndarray) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if ours.dtype.kind != "f":
        return bool(np.array_equal(ours, theirs))
    sane = np.isfinite(theirs) & np.isfinite(wide) & (np.abs(wide) < 1e6)
    room = 2e-4 * (1 + np.abs(wide)) + 100 * np.abs(theirs - wide)
    return bool((np.abs(np.where(sane, ours - theirs, 0)) <= np.where(sane, room, 0)).all())


class Run:
    """Execution of one graph as a program. ``found`` lists problems, ``notes`` refusals with their reasons."""

    def __init__(
        self, copy: Callable[[Any], np.ndarray], hostile: Hostile, files: Mapping[str, bytes], threads: int = 1
    ) -> None:
        """Load the program from files. ``copy`` copies a feed to guarded memory."""
        self.hostile = hostile
        self.found: list[str] = []
        self.notes: list[str] = []
        try:
            stored = SavedSource(files)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            self.notes.append(f"load: {error}")
            return
        parameters = rg.runtime.parameters.Parameters(stored.lowered.slots, 0, values=stored.parameters)
        unroll = (None, 3, "full")[hostile.seed // 2 % 3]
        try:
            self.program = rg.Program(
                stored, parameters, 0, ProgramOptions(threads=threads, unroll=unroll, cache=False)
            )
        except rg.GraphError as error:  # open lengths can't be unrolled
            self.notes.append(f"unroll: {error}")
            self.program = rg.Program(stored, parameters, 0, ProgramOptions(threads=threads, cache=False))
        self.program.parameters.replace({name: copy(array) for name, array in parameters.items()})
        self.feeds = {name: copy(array) for name, array in hostile.feeds.items()}
        self.all()

    def all(self) -> None:
        program = self.program
        inference, evaluation, training = program.inference, program.evaluation, program.training
        self.compare("inference", inference.compiled, lambda feeds: inference(feeds), inference)
        self.compare("evaluate", evaluation.compiled, lambda feeds: program.evaluate(feeds), evaluation)
        self.compare("training", training.compiled, lambda feeds: training(feeds, seed=5), training)
        floats = [name for name, kind in training._types.items() if kind.dtype in ("float32", "float64")]

        def gradients(feeds: Mapping[str, np.ndarray], **options: int) -> dict[str, np.ndarray]:
            loss, parts = training.gradients(feeds, seed=5, wrt=floats, **options)
            return {"loss": loss, **{PREFIX + name: part for name, part in parts.items()}}

        masks = training._masks
        if masks.graph.outputs:  # masks accept sizes that other calls refuse, such as empty batches
            self.compare("masks", masks, lambda inputs: training.dropout_masks(inputs, seed=5), training)
        if self.hostile.seed % 5 == 0 and all(array.dtype != "float64" for array in self.hostile.parameters.values()):
            form = ("bfloat16", "int8")[self.hostile.seed % 2]
            activations = ("float32", form)[self.hostile.seed % 3 == 0]
            source = program.parts.source
            rules = weight_rules(form)
            options = ProgramOptions(cache=False, weights=rules, activations=activations)
            narrow = rg.Program(source, program.parameters, 0, options).inference
            feeds = {name: array for name, array in self.feeds.items() if name in narrow._types}
            self.quietly(form, lambda: narrow(feeds))
        if self.hostile.seed % 3 == 1:  # blocks of zeros are skipped
            source, unroll = program.parts.source, program.options.unroll
            options = ProgramOptions(unroll=unroll, cache=False, sparse=True)
            sparse = rg.Program(source, program.parameters, 0, options).inference
            self.compare("sparse", sparse.compiled, lambda inputs: sparse(inputs), sparse)
        if self.hostile.seed % 4 == 0:
            self.quietly("stream", self.stream)
            trainable = any(array.dtype.kind == "f" for array in self.hostile.parameters.values())
            if trainable:
                self.quietly("trainer", lambda: rg.Trainer(program, rg.SGD(0.1)).step(self.feeds, seed=5))
        differentiated = partial(training._gradients.graph, tuple(floats), ())
        self.compare("gradients", differentiated, gradients, training)
        if self.hostile.seed % 4 == 1:
            self.compare("recompute", differentiated, partial(gradients, recompute=2), training)

    def stream(self) -> None:
        """Run a few steps as a stream, whatever the names of the axes."""
        stream = self.program.inference.stream(batch=2)
        feeds = {name: array for name, array in self.feeds.items() if name in self.program.inference._types}
        stream.process(feeds)
        stream.process(feeds)

    def quietly(self, what: str, call: Callable[[], object]) -> bool:
        """Return True if a call succeeds. Refusals are noted, and other errors are recorded as problems."""
        try:
            for _ in range(2):
                call()
        except rg.RnnGraphError as error:
            if isinstance(error, VerifyError):
                self.found.append(f"{what}: {type(error).__name__} {str(error)[:300]}")
            self.notes.append(f"{what}: {str(error)[:200]}")
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename}:{last.lineno}"
            self.found.append(f"{what}: raw {type(error).__name__}: {str(error)[:160]} at {where}")
        else:
            return True
        return False

    def compare(self, what: str, compiled: Any, call: Callable[[Mapping[str, np.ndarray]], Any], takes: Any) -> None:
        feeds = {name: array for name, array in self.feeds.items() if name in takes._types}
        result: dict[str, np.ndarray] = {}
        if not self.quietly(what, lambda: result.update(call(feeds))):
            return
        result = {name: np.asarray(array) for name, array in result.items()}
        graph = compiled() if callable(compiled) else compiled
        seeds = {"seed": np.asarray(5), "first_row": np.asarray(0), "first_step": np.asarray(0)}
        try:
            arrays = {**seeds, **self.feeds, **dict(self.program.parameters)}
            sizes = solve_sizes(feeds, takes._types | graph.input_types(), None)
            wrong = differences(result, graph.pruned(tuple(result)), arrays, sizes)
        except Exception as error:
            self.found.append(f"{what}: the interpreter raises {type(error).__name__}: {str(error)[:160]}")
            return
        if wrong:
            self.found.append(f"{what}: {', '.join(wrong)} differ")


def main(side: str, first: int, count: int, is_empty: bool) -> None:
    import resource  # missing on Windows, where the script does not run

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    guard = Guard(side)
    guard.take_over()
    files = template()
    for number in range(first, first + count):
        print("begin", number, flush=True)
        hostile = draw(number, is_empty)
        run = Run(guard.copy, hostile, files_for(hostile, files), 1 + (is_empty and number % 2))
        for line in run.found:
            print("found", number, line.replace("\n", " ")[:500], flush=True)
        print("ok", number, "; ".join(run.notes).replace("\n", " ")[:600], flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "empty" in sys.argv[4:])
