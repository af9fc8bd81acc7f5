"""All results of a program, as arrays and texts that can be compared bit by bit.

``python saved_behaviour.py DIRECTORY FEEDS RESULT …`` loads saved programs in a process that does not declare them, and
writes their results.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

Found = dict[str, Any]
Feeds = Mapping[str, np.ndarray]


def recorded(program: rg.Program, feeds: Feeds) -> Found:
    """Return all results by name, as arrays or texts. An error is recorded as its text."""
    results: Found = {}

    def note(name: str, value: Any) -> None:
        if isinstance(value, np.ndarray | np.generic | float | int) and not isinstance(value, bool):
            results[name] = np.asarray(value)
        elif isinstance(value, Mapping):
            results[f"{name}:keys"] = f"{type(value).__name__} {list(value)}"
            for key, item in value.items():
                note(f"{name}/{key}", item)
        elif isinstance(value, tuple | list):
            results[f"{name}:kind"] = f"{type(value).__name__} {getattr(value, '_fields', len(value))}"
            for number, item in enumerate(value):
                note(f"{name}/{number}", item)
        else:
            results[name] = str(value)

    def tried(name: str, call: Callable[[], Any]) -> None:
        try:
            note(name, call())
        except rg.RnnGraphError as error:
            results[name] = f"{type(error).__name__}: {error.what}"

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        _facts(program, tried)
        _calls(program, feeds, tried)
        _streams(program, feeds, tried)
        _training(program, feeds, tried)
        tried("initialize", lambda: program.initialize(5) or dict(program.parameters))
        tried("graphs after calls", lambda: [_stages(program.inference), _stages(program.training)])
    return results


def _facts(program: rg.Program, tried: Callable[[str, Callable[[], Any]], None]) -> None:
    slots = {name: program.parameters.slot(name) for name in program.parameters}
    facts = {name: f"{slot.type} {slot.trainable} {slot.where}" for name, slot in slots.items()}
    tried("slots", lambda: facts)
    tried("parameters", lambda: dict(program.parameters))
    tried("summary", program.summary)
    tried("declared text", program.declared_text)
    declared = program.declared
    tried("declared nodes", lambda: json.dumps([*declared.nodes(data=True)], sort_keys=True))
    tried("declared edges", lambda: json.dumps([*declared.edges(data=True)], sort_keys=True))
    tried("takes", lambda: f"{program.inference.input_names()} {program.training.input_names()}")
    tried("seed", lambda: f"{program.seed} {program.options.unroll}")
    tried("memory", lambda: [program.inference.memory(3, 5), program.training.memory(3, 5)])


def _stages(graph: Any) -> dict[str, str]:
    return {stage: graph.show(stage) for stage in graph.stages if stage not in ("llvm", "asm")}


def _some(graph: Any, feeds: Feeds) -> dict[str, np.ndarray]:
    return {name: feeds[name] for name in graph.input_names() if name in feeds}


def _calls(program: rg.Program, feeds: Feeds, tried: Callable[[str, Callable[[], Any]], None]) -> None:
    inference, training = program.inference, program.training
    inputs = _some(training, feeds)
    floats = [name for name, array in inputs.items() if array.dtype.kind == "f"]
    tried("inference", lambda: inference(_some(inference, feeds)))
    tried("training", lambda: training(inputs, seed=7))
    tried("training, split", lambda: training(inputs, seed=7, first_row=3, first_step=2))
    tried("training, own seeds", lambda: [training(inputs), training(inputs)])
    tried("evaluate", lambda: program.evaluate(_some(program.evaluation, feeds)))
    tried("gradients", lambda: training.gradients(inputs, seed=7, wrt=floats))
    tried("masks", lambda: training.dropout_masks(inputs, seed=7))

    def from_outside() -> Any:
        result = training(inputs, seed=3)
        outputs = {"": result} if isinstance(result, np.ndarray) else dict(result)
        tops = {name: item for name, item in outputs.items() if isinstance(item, np.ndarray) and name != "loss"}
        gradients = {name: np.full_like(item, 0.25) for name, item in tops.items() if item.dtype.kind == "f"}
        return training.gradients(inputs, seed=3, output_gradients=gradients.get("", gradients))

    tried("output gradients", from_outside)
    tried("a feed too few", lambda: inference())
    tried("a feed too many", lambda: inference(_some(inference, feeds), nothing=1))
    for name in floats:
        spoiled = {**inputs, name: np.full_like(inputs[name], np.nan)}
        tried(f"check {name}", lambda spoiled=spoiled: training.check(spoiled, seed=7))
        tried(f"check inference {name}", lambda spoiled=spoiled: inference.check(_some(inference, spoiled)))


def _streams(program: rg.Program, feeds: Feeds, tried: Callable[[str, Callable[[], Any]], None]) -> None:
    def streamed() -> Any:
        batch = next(array.shape[0] for array in feeds.values() if array.ndim > 1)
        stream = program.inference.stream(batch)
        axes = {name: axis for name, axis in stream._time_axis.items() if name in feeds}

        def cut(start: int, stop: int) -> dict[str, np.ndarray]:
            return {
                name: feeds[name] if axis is None else np.take(feeds[name], range(start, stop), axis)
                for name, axis in axes.items()
            }

        def single(step: int) -> dict[str, np.ndarray]:
            part = cut(step, step + 1)
            return {name: part[name] if axis is None else np.squeeze(part[name], axis) for name, axis in axes.items()}

        results = [
            stream.process(cut(0, 2)),
            stream.state,
            stream.step(single(2)),
            stream.step(single(3)),
            stream.state,
        ]
        stream.reset([0])
        results.append(stream.state)
        stream.state = results[1]
        results += [stream.step(single(1)), stream.state]
        stream.reset()
        return [*results, stream.state]

    tried("stream", streamed)


def _training(program: rg.Program, feeds: Feeds, tried: Callable[[str, Callable[[], Any]], None]) -> None:
    def trained() -> Any:
        trainer = rg.Trainer(program, optimizer=rg.Adam(1e-2), clip_norm=1.0)
        inputs = _some(program.training, feeds)
        return [trainer.step(inputs), trainer.step(inputs), trainer.show("graph"), dict(program.parameters)]

    def carried() -> Any:
        trainer = rg.Trainer(program, optimizer=rg.SGD(1e-2))
        inputs = _some(program.training, feeds)
        losses = [trainer.step(inputs, carry=True) for _ in range(3)]
        return [*losses, dict(program.parameters)]

    tried("trainer", trained)
    tried("trainer that carries", carried)


def write(results: Found, path: Path) -> None:
    np.savez(path, **{f"{number:06}": np.asarray(item) for number, item in enumerate(results.values())})
    path.with_suffix(".json").write_text(json.dumps(list(results)))


def read(path: Path) -> Found:
    names = json.loads(path.with_suffix(".json").read_text())
    with np.load(path, allow_pickle=False) as file:
        arrays = [file[f"{number:06}"] for number in range(len(names))]
    return {name: str(array) if array.dtype.kind == "U" else array for name, array in zip(names, arrays, strict=True)}


def differences(ours: Found, theirs: Found) -> list[str]:
    """Return the names of results that differ in any bit."""
    if list(ours) != list(theirs):
        return [f"names: {set(ours) ^ set(theirs) or 'their order'}"]
    results = []
    for name, mine in ours.items():
        other = theirs[name]
        if isinstance(mine, str) or isinstance(other, str):
            same = mine == other
        else:
            same = (mine.dtype, mine.shape, mine.tobytes()) == (other.dtype, other.shape, other.tobytes())
        if not same:
            results.append(f"{name}: {mine} is not {other}")
    return results


def main(arguments: list[str]) -> None:
    for directory, feeds, result in zip(*[iter(arguments)] * 3, strict=True):
        with np.load(feeds, allow_pickle=False) as file:
            inputs = {name: file[name] for name in file.files}
        write(recorded(rg.load(directory), inputs), Path(result))
    strange = {name for name in sys.modules if name.startswith(("own_cells", "saved_cases", "tests", "pickle5"))}
    assert not strange, strange


if __name__ == "__main__":
    main(sys.argv[1:])
