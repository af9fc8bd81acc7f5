"""Programs in files: graphs and declaration as text, and arrays as safetensors.

A stored program is a source of graphs like a declaration. It has the same graphs, node by node, for every purpose.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from safetensors.numpy import save as arrays_text

from ...declare.description import Described
from ...declare.nest import flatten, paths
from ...ir.attributes import MAX_UNROLLED
from ...ir.graph import Graph, Node
from ...ir.text.complete import complete_text, same_graph
from ...ir.text.parser import parse
from ...ir.types import array_dtype
from ...ir.verifier import verify_stored
from ...passes.affine.chunking import CHUNK_DTYPES, Chunking
from ...passes.lowering.lowered import FED, SHOWN, Lowered
from ...runtime.class_names import class_names_from
from ...runtime.graph_file import StoredGraphs
from ...runtime.graph_source import TAPS, GraphSource, check_structure, shapes_of
from ...runtime.native.compile_options import MIN_CHUNK, CompileOptions, ProgramOptions
from ...runtime.native.object_cache import Cache, key_of
from ...runtime.native.weight_options import (
    ACTIVATIONS,
    WeightRules,
    Weights,
    check_weights,
    weight_rules,
    weights_as_text,
    weights_from_text,
)
from ...runtime.parameters import Parameters
from ...storage.atomic_file import as_path
from ...storage.sealed_safetensors import arrays_in, stored_arrays_in
from ...storage.stored_array import StoredFile
from ...storage.versioned_directory import read_directory, write_directory
from ...support.allocation import reserve
from ...support.arguments import flag
from ...support.errors import FileError, GraphError, OutOfMemoryError
from ...support.records import dataclass
from ...version import __version__
from .json_form import (
    check,
    described_from,
    described_text,
    generator_from,
    is_int,
    nest_from,
    nest_text,
    parameter_from_json,
    slot_text,
    words,
)
from .validation import check_together

KIND = "rnngraph program"
VERSION = 1

PLAIN, STREAM = "plain", "stream"
FORMS = (PLAIN, STREAM, SHOWN, FED)
"""Purposes of lowering: calls, streams, and training that returns or takes states."""

DOCUMENT, WEIGHTS, ARRAYS = "declaration.json", "weights.safetensors", "arrays.safetensors"
CONSTANT, DEFAULT = "constant/", "default/"
MIN_CACHED_BYTES = 1 << 18
"""Minimum bytes of texts whose graphs are kept in the cache. Shorter ones are parsed in some tens of milliseconds."""

Graphs = tuple[Graph, Graph, Graph]
"""The graph of a lowered declaration, its masks and its initial states."""


@dataclass(frozen=True)
class SavedSettings:
    """Settings of a saved program, with the state of its generator of seeds."""

    seed: int
    unroll: int | str | None
    weights: WeightRules
    activations: str
    sparse: bool
    chunked: Chunking | None
    generator: Mapping[str, Any]

    def changed(self, weights: Weights | None, activations: str | None, sparse: bool | None) -> SavedSettings:
        """Return the settings with these options of ``load`` in place of the saved ones, unless they are None.

        New ``weights`` also reset ``activations`` to ``float32``, unless ``activations`` is given.
        """
        settings = self
        if weights is not None:
            settings = replace(settings, weights=weight_rules(weights), activations="float32")
        if activations is not None:
            settings = replace(settings, activations=activations)
        return settings if sparse is None else replace(settings, sparse=flag(sparse, "sparse"))

    def options(
        self, target: str | None, threads: int, cache: bool | str | os.PathLike[str] | Cache, direct_calls: bool
    ) -> ProgramOptions:
        """Return the options to compile a loaded program: the saved ones and those that ``load`` was given."""
        return ProgramOptions(
            target=target,
            threads=threads,
            cache=cache,
            direct_calls=direct_calls,
            unroll=self.unroll,
            weights=self.weights,
            activations=self.activations,
            sparse=self.sparse,
            chunked=self.chunked,
        )


def settings_of(options: CompileOptions, seed: int, generator: Mapping[str, Any]) -> SavedSettings:
    """Return the settings to save, from a program's options and the state of its generator of seeds."""
    return SavedSettings(
        seed, options.unroll, options.weights, options.activations, options.sparse, options.chunked, generator
    )


class SavedSource:
    """Saved program as a source of graphs, in place of a live declaration."""

    def __init__(self, files: Mapping[str, bytes], large: StoredFile | None = None, cache: Cache | None = None) -> None:
        """Read the files of ``files_of``. Raise ``ValueError`` or similar if they are invalid.

        Args:
            files: Contents by file name.
            large: The file of weights, if it is not among ``files``. Its arrays are read when they are needed.
            cache: Cache of graphs that were read before.
        """
        text = json.loads(files[DOCUMENT])
        arrays = arrays_in(files[ARRAYS])
        weights = arrays_in(files[WEIGHTS]) if large is None else stored_arrays_in(large)
        self.settings = _settings(text)
        self._described = described_from(text["declared"])
        named = dict(parameter_from_json(item, arrays) for item in text["parameters"])
        self.parameters = {name: weights[name] for name in named}
        for name, slot in named.items():
            array, shape = weights[name], slot.type.shape
            fits = (array.dtype, array.shape) == (np.dtype(array_dtype(slot.type.dtype)), shape)
            check(fits, f"parameter {name} is {slot.type}, and its array {array.dtype}{list(array.shape)}")
        rest = {
            "slots": {slot: name for name, slot in named.items()},
            "placeholders": {},
            "defaults": {name: arrays[DEFAULT + name] for name in words(text["defaults"])},
            "keep_probs": frozenset(words(text["keep_probs"])),
        }
        constants = {key.removeprefix(CONSTANT): array for key, array in arrays.items() if key.startswith(CONSTANT)}
        texts = {name: files[f"{name}.txt"] for name in (*FORMS, *(form for form in TAPS if f"{form}.txt" in files))}
        graphs = _graphs_of([*dict.fromkeys(texts.values())], files[ARRAYS], constants, cache)
        states, named_states = text["states"], text.get("named_states", text["states"])
        self.forms = {
            name: _lowered(graphs[of_form], states[name], named_states[name], rest) for name, of_form in texts.items()
        }
        self.shapes = shapes_of(self.lowered.graph, text.get("shapes", {}))
        outputs = dict(self.lowered.graph.outputs)
        self.structure: Any = nest_from(text["structure"], lambda path: outputs[path].tensor)
        self.loss = outputs["loss"].tensor if text["loss"] is True else None
        self.kept = _kept(text.get("kept", {}))
        self.classes = class_names_from(
            text.get("classes", {}), {path: outputs[path] for path, _ in paths(self.structure)}
        )
        check(not isinstance(self.structure, tuple | list), "outputs are a tensor, or a dict")
        check_structure(self.structure, self.loss is not None)
        check_together(self.forms, [path for path, _ in paths(self.structure)], self.loss, self.kept)
        check_weights(self.settings.weights, self.settings.activations, self.lowered)

    @property
    def lowered(self) -> Lowered:
        return self.forms[PLAIN]

    def stateful(self) -> Lowered:
        return self.forms[STREAM]

    def with_states(self, states: str, beside: Sequence[tuple[str, Node]] = ()) -> Lowered:
        if beside:
            raise GraphError(
                "a program that was loaded has no Tensors to fetch; fetch outputs by their paths, as in "
                'fetch={"logits": "logits"}'
            )
        return self.forms[states]

    def tapped(self, form: str) -> Lowered | None:
        return self.forms.get(form)

    def described(self) -> Described:
        return self._described


def _settings(text: Mapping[str, Any]) -> SavedSettings:
    seed, unroll = text["seed"], text["unroll"]
    check(is_int(seed, -(2**63), 2**64 - 1), f"{seed!r} is not a seed")
    check(unroll in (None, "full") or is_int(unroll, 1, MAX_UNROLLED), f"can't unroll {unroll!r}")
    activations = text.get("activations", "float32")
    check(activations in ACTIVATIONS, f"{activations!r} is not a kind of activations")
    weights = weights_from_text(text.get("weights", "float32"))
    sparse = text.get("sparse", False)
    check(isinstance(sparse, bool), f"{sparse!r} is neither true nor false")
    generator = generator_from(text["generator"])
    return SavedSettings(seed, unroll, weights, activations, sparse, _chunking(text), generator)


def _chunking(text: Mapping[str, Any]) -> Chunking | None:
    steps, dtype = text.get("chunked"), text.get("chunked_dtype", "float32")
    check(dtype in CHUNK_DTYPES, f"{dtype!r} is not a dtype of chunks")
    check(
        steps is None or (type(steps) is int and steps >= MIN_CHUNK), f"{steps!r} is not a number of steps of a chunk"
    )
    return None if steps is None else Chunking(steps, dtype)


def _kept(text: Any) -> dict[str, str]:
    pairs = isinstance(text, dict) and all(isinstance(name, str) for name in text.values())
    check(pairs, f"{text!r} does not map outputs to placeholders")
    return dict(text)


def _graphs_of(
    texts: Sequence[bytes], arrays: bytes, constants: Mapping[str, np.ndarray], cache: Cache | None
) -> dict[bytes, Graphs]:
    """Parse and verify the graphs in each text. Return {text: graphs}. Those of long texts are cached.

    Args:
        texts: Distinct texts of the forms of a declaration.
        arrays: Contents of the file of ``constants``.
    """

    def parsed() -> list[Graphs]:
        return [_graphs_in(text.decode(), constants) for text in texts]

    if cache is None or sum(map(len, texts)) < MIN_CACHED_BYTES:
        return dict(zip(texts, parsed(), strict=True))
    key = key_of("saved", [hashlib.sha256(text).hexdigest() for text in (*texts, arrays)])
    stored = cache.load_graphs(key)
    if stored is None:
        stored = StoredGraphs([graph for group in parsed() for graph in group], {})
        cache.store_graphs(key, stored)
    graphs = iter(stored.graphs)
    return dict(zip(texts, zip(graphs, graphs, graphs, strict=True), strict=True))


def _graphs_in(text: str, constants: Mapping[str, np.ndarray]) -> Graphs:
    """Restore the graph, the masks and the initial states of a lowered declaration from text, with all checks."""
    parts = re.split(r"(?m)^(?=graph )", text)[1:]
    graph, masks, initial = (verify_stored(parse(part, constants)) for part in parts)
    return graph, masks, initial


def _lowered(graphs: Graphs, states: Any, named: Any, rest: Mapping[str, Any]) -> Lowered:
    """Return a lowered declaration with these graphs, with all checks of the names of its states."""
    graph, masks, initial = graphs
    check(isinstance(states, list) and isinstance(named, list), f"{states!r} and {named!r} are not lists of states")
    nests, with_names = (tuple(nest_from(nest, str) for nest in item) for item in (states, named))
    check([*map(flatten, nests)] == [*map(flatten, with_names)], f"{named!r} and {states!r} are not the same states")
    return Lowered(graph=graph, masks=masks, initial=initial, states=nests, named=with_names, **rest)


def files_of(source: GraphSource, parameters: Parameters, settings: SavedSettings) -> dict[str, bytes]:
    """Return the contents of a program's files by name."""
    reserve(2 * sum(kind.bytes_at(0) for kind in parameters.types().values()), "the bytes of a saved program")
    forms = {PLAIN: source.lowered, STREAM: source.stateful()}
    forms |= {states: source.with_states(states) for states in (SHOWN, FED)}
    tapped = {form: source.tapped(form) for form in TAPS}
    forms |= {form: lowered for form, lowered in tapped.items() if lowered is not None}
    constants: dict[str, np.ndarray] = {}
    files = {
        f"{name}.txt": "".join(complete_text(graph, constants) for graph in _graphs(form)).encode()
        for name, form in forms.items()
    }
    arrays = {CONSTANT + key: array for key, array in constants.items()}
    arrays |= {DEFAULT + name: array for name, array in source.lowered.defaults.items()}
    places = iter([path for path, _ in paths(source.structure)])
    document = {
        "seed": settings.seed,
        "unroll": settings.unroll,
        "weights": weights_as_text(settings.weights),
        "activations": settings.activations,
        "sparse": settings.sparse,
        "chunked": settings.chunked and settings.chunked.steps,
        "chunked_dtype": settings.chunked.dtype if settings.chunked else "float32",
        "loss": source.loss is not None,
        "structure": nest_text(source.structure, lambda leaf: next(places)),
        "parameters": [slot_text(name, parameters.slot(name), arrays) for name in parameters],
        "shapes": source.shapes,
        "defaults": list(source.lowered.defaults),
        "keep_probs": sorted(source.lowered.keep_probs),
        "states": {name: [nest_text(nest, str) for nest in form.states] for name, form in forms.items()},
        "named_states": {name: [nest_text(nest, str) for nest in form.named] for name, form in forms.items()},
        "kept": dict(source.kept),
        "classes": {path: [*names] for path, names in source.classes.items()},
        "generator": settings.generator,
        "declared": described_text(source.described()),
    }
    files[DOCUMENT] = json.dumps(document, indent=1).encode() + b"\n"
    files[WEIGHTS], files[ARRAYS] = weights_file(parameters), _safetensors(arrays)
    restored = SavedSource(files)
    for name, form in forms.items():
        pairs = zip(_graphs(form), _graphs(restored.forms[name]), strict=True)
        check(all(same_graph(ours, theirs) for ours, theirs in pairs), f"the graph {name} changes if it is read back")
    return files


def weights_file(parameters: Parameters) -> bytes:
    """Return the contents of the file with the parameters' values."""
    _, weights = parameters.snapshot()
    return _safetensors(weights)


def _graphs(form: Lowered) -> Graphs:
    return form.graph, form.masks, form.initial


def _safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    check("__metadata__" not in arrays, "the name __metadata__ is reserved by safetensors")
    return bytes(arrays_text({name: np.asarray(array, order="C") for name, array in arrays.items()}))


WRONG = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""Errors that reading damaged files may raise."""


def write_program(
    source: GraphSource, parameters: Parameters, settings: SavedSettings, path: str | os.PathLike[str]
) -> None:
    """Write a program to a directory. Raise ``FileError``, and write nothing, if it could not be read back.

    Raise ``GraphError`` if parameters were dropped.
    """
    as_path(path)
    parameters.check_kept()
    try:
        files = files_of(source, parameters, settings)
    except (FileError, OutOfMemoryError):
        raise
    except WRONG as error:
        raise FileError(
            f"can't save the program to {os.fspath(path)}: {error}; change that part of the declaration"
        ) from error
    write_directory(path, KIND, VERSION, files, rnngraph=__version__)


def read_program(path: str | os.PathLike[str], cache: Cache | None = None) -> SavedSource:
    """Read the program at ``path``. Large weights stay in their file. Raise ``FileError`` if ``path`` is no program.

    Args:
        cache: Cache of digests of files that need not be verified again, and of graphs that were read before.
    """
    read = read_directory(path, KIND, VERSION, stored=(WEIGHTS,), known=cache)
    files = {name: content for name, content in read.items() if isinstance(content, bytes)}
    large = read.get(WEIGHTS)
    return source_from(files, os.fspath(path), large if isinstance(large, StoredFile) else None, cache)


def source_from(
    files: Mapping[str, bytes], shown: str, large: StoredFile | None = None, cache: Cache | None = None
) -> SavedSource:
    """Return the graphs and settings of a saved program from {file: content}. Raise ``FileError`` if it cannot be read.

    Args:
        shown: Name of the files in errors.
        large: As for ``SavedSource``.
        cache: As for ``SavedSource``.
    """
    try:
        return SavedSource(files, large, cache)
    except (FileError, OutOfMemoryError):
        raise
    except Exception as error:  # consistent files, but not written by this library
        raise FileError(f"{shown} can't be read as a program: {_in_one_line(error)}; save it again") from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
