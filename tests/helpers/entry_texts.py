"""The LLVM text of some hundred entries, which shows that a refactoring changes no code.

    python tests/helpers/entry_texts.py compare CHECKOUT [--seeds N]    this checkout's text with another's
    python tests/helpers/entry_texts.py write FILE [--seeds N]          as JSON: {entry: its modules}

Nets come from the generators of the random tests, and from a list of features that the generators lack: targets, narrow
weights, threads that share work, trainers, exports. Only public names are used, and the text is intercepted on its way
to LLVM, because the other checkout may be older and have other packages. Only exports are compiled; their files are
compared, too.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from chained_drivers import declare_chain
from cross_cases import CASES, feeds
from cross_cases import program as case
from declarations import Declaration, declare
from wired_cells import declare_cell

import rnngraph as rg

SEEDS = 40
LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
EXPORTED_TO = (*LEVELS, "aarch64-linux", "armv7-linux", "thumbv7em-none-eabihf", "wasm32-simd128", "riscv64")
NARROW = ({"weights": "bfloat16"}, {"weights": "bfloat16", "activations": "bfloat16"}, {"weights": "int8"})
REFUSED = "refused: "
OPTIMIZERS = (rg.SGD(0.1), rg.Adam(), rg.RMSProp(1e-3))
Arrays = dict[str, np.ndarray]
Entry = tuple[str, Callable[[], Any]]
Texts = dict[str, list[str]]


_COMMENT = re.compile(r"(?m)^ *;.*\n")
"""Comment line of LLVM text, such as a line of the script."""


class _TakenError(BaseException):
    """Error that ends a call once its text is recorded."""


@contextmanager
def _text_taken(texts: list[str], to_the_end: bool) -> Iterator[None]:
    """Record every text for LLVM in ``texts``. With ``to_the_end``, also compile the text and finish the call."""
    original = llvm.parse_assembly

    def parse(text: str, *arguments: Any) -> Any:
        if text:
            texts.append(_COMMENT.sub("", text))
        if text and not to_the_end:
            raise _TakenError
        return original(text, *arguments)

    llvm.parse_assembly = parse
    try:
        yield
    except _TakenError:
        pass
    finally:
        llvm.parse_assembly = original


# Entries -----------------------------------------------------------------------------------------


def drawn(name: str, declaration: Declaration) -> Iterator[Entry]:
    """Yield (name, call) for every kind of call of a declaration."""
    for kind in ("inference", "training", "gradients", "evaluate", "trainer", "stream", "process"):

        def call(kind: str = kind) -> None:
            program = declaration.compile(cache=False)
            called(program, kind, declaration.arrays(), declaration.batch)

        yield f"{name}, {kind}", call


def called(program: rg.Program, kind: str, arrays: Arrays, batch: int) -> None:
    def taken(graph: Any) -> Arrays:
        labels = {str(node["label"]) for node in graph.inputs}
        return {name: array for name, array in arrays.items() if name in labels}

    match kind:
        case "inference":
            program.inference(taken(program.inference.graph))
        case "training":
            program.training(taken(program.training.graph), seed=7)
        case "gradients":
            program.training.gradients(taken(program.training.graph), seed=7)
        case "evaluate":
            program.evaluate(taken(program.evaluation.graph))
        case "trainer":
            optimizer = OPTIMIZERS[len(arrays) % len(OPTIMIZERS)]
            rg.Trainer(program, optimizer, clip_norm=1.0).step(taken(program.training.graph), seed=7)
        case "stream" | "process":
            stream = program.inference.stream(batch)
            feeds = taken(program.inference.graph)
            if kind == "process":
                stream.process(feeds)
            else:
                stream.step({name: array[:, 0] if array.ndim > 2 else array for name, array in feeds.items()})


def net(cells: Callable[[int], Any], units: int, directions: int = 1, lengths: bool = False) -> dict[str, Any]:
    x = rg.placeholder("x", (None, None, units))
    lens = rg.placeholder("lens", (None,), "int32") if lengths else None
    if directions == 2:
        outputs, states = rg.bidirectional_dynamic_rnn(cells(units), cells(units), x, sequence_length=lens)
        outputs = rg.concat(outputs, -1)
    else:
        outputs, states = rg.dynamic_rnn(cells(units), x, sequence_length=lens)
    logits = rg.dense(rg.dropout(outputs, 0.5), 10)
    return {"outputs": {"logits": logits, "states": states}, "loss": rg.reduce_mean(rg.square(logits))}


def stack(layers: int) -> Callable[[int], Any]:
    return lambda units: rg.MultiRNNCell([rg.BasicLSTMCell(units) for _ in range(layers)])


LARGE: dict[str, tuple[Any, ...]] = {
    "LSTM": (rg.BasicLSTMCell, 256),
    "GRU": (rg.GRUCell, 192),
    "RNN x3": (lambda units: rg.MultiRNNCell([rg.BasicRNNCell(units) for _ in range(3)]), 100),
    "LSTM x2": (stack(2), 128),
    "GRU both ways": (rg.GRUCell, 128, 2),
    "LSTM with lengths": (rg.BasicLSTMCell, 128, 1, True),
    "layer norm": (rg.LayerNormBasicLSTMCell, 64),
}
"""Nets large enough that two workers share them."""


def large() -> Iterator[Entry]:
    for name, (cells, units, *more) in LARGE.items():
        for batch, threads in itertools.product((1, 7, 32), (1, 2)):
            for kind in ("inference", "gradients", "trainer", "stream"):

                def call(
                    cells: Any = cells,
                    units: int = units,
                    more: Any = more,
                    batch: int = batch,
                    threads: int = threads,
                    kind: str = kind,
                ) -> None:
                    program = rg.compile(**net(cells, units, *more), cache=False, threads=threads)
                    x, lens = np.ones((batch, 25, units), np.float32), np.full(batch, 20, np.int32)
                    called(program, kind, {"x": x, "lens": lens}, batch)

                yield f"{name}, {kind}, {batch} rows, threads={threads}", call


def narrow() -> Iterator[Entry]:
    for name, options in itertools.product(CASES, NARROW):
        for kind in ("inference", "stream"):

            def call(name: str = name, options: Any = options, kind: str = kind) -> None:
                program = case(name, **options)
                called(program, kind, feeds(program, 3, 7), 3)

            yield f"{name}, {kind}, {', '.join(f'{key}={value}' for key, value in options.items())}", call


def exported() -> Iterator[Entry]:
    for number, target in enumerate(EXPORTED_TO):
        name = (*CASES,)[number % len(CASES)]

        def call(name: str = name, target: str = target) -> Iterator[str]:
            with tempfile.TemporaryDirectory() as folder:
                files = Path(folder)
                case(name).inference.export(files / "net", target=target)
                for path in sorted(file for file in files.rglob("*") if file.is_file()):
                    yield f"{path.relative_to(files)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"

        yield f"export of {name}, {target}", call


def entries(seeds: int) -> Iterator[Entry]:
    for seed in range(seeds):
        yield from drawn(f"declaration {seed}", declare(seed))
        yield from drawn(f"cell {seed}", declare_cell(seed))
        if seed % 4 == 0:
            yield from drawn(f"drivers {seed}", declare_chain(seed))
    yield from large()
    yield from narrow()
    yield from exported()


# Writing and comparing ---------------------------------------------------------------------------


def texts_of(seeds: int) -> Texts:
    texts: Texts = {}
    for name, call in entries(seeds):
        with warnings.catch_warnings(), _text_taken(texts.setdefault(name, []), name.startswith("export")):
            warnings.simplefilter("ignore")
            try:
                texts[name] += call() or ()
            except rg.RnnGraphError as error:  # no loss, nothing to train, or no stream
                texts[name].append(REFUSED + type(error).__name__)
    return texts


def texts_with(checkout: Path, seeds: int) -> Texts:
    """Return the texts that another checkout's package writes for this checkout's declarations."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.json")
        command = [sys.executable, __file__, "write", str(path), "--seeds", str(seeds)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(checkout.resolve())})
        return dict(json.loads(path.read_text()))


def difference(here: Texts, there: Texts) -> str:
    """Return a description of the entries that differ, with the first difference; empty if all are equal."""
    lines = [f"{name}: {'gone' if name in there else 'new'}" for name in sorted(here.keys() ^ there.keys())]
    differ = [name for name in here.keys() & there.keys() if here[name] != there[name]]
    lines += [f"{name}: differs" for name in sorted(differ)]
    if differ:
        first, old, new = min(differ), *("".join(texts[min(differ)]).splitlines() for texts in (there, here))
        lines += itertools.islice(difflib.unified_diff(old, new, f"{first}, there", f"{first}, here", lineterm=""), 60)
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["compare", "write"])
    parser.add_argument("path", type=Path, help="another checkout, or a file to write")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="declarations that are drawn")
    options = parser.parse_args()
    if options.what == "write":
        options.path.write_text(json.dumps(texts_of(options.seeds)))
        return 0
    if not (options.path / "rnngraph" / "__init__.py").is_file():
        parser.error(f"{options.path} is no checkout")
    here, there = (texts_with(root, options.seeds) for root in (Path(__file__).parents[2], options.path))
    report = difference(here, there)
    written = [texts for texts in here.values() if not texts[0].startswith(REFUSED)]
    print(report or f"the same text of {len(written)} entries; {len(here) - len(written)} calls are refused")
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main())
