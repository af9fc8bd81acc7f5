"""Programs: one declaration as two graphs, callable, with one set of parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import GenericAlias, MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Never, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike

from ..codegen.machine.target import Target, target_of
from ..declare.tensor import Tensor
from ..ir.types import evaluate, product
from ..passes.unroll import check_lengths
from ..runtime.calls.feed_names import FeedNames
from ..runtime.calls.results import Given, Result, Trained
from ..runtime.class_names import BARE, Classes
from ..runtime.graph_source import DeclaredSource, GraphSource
from ..runtime.native.compile_options import CompileOptions, checked_chunked, steps_per_turn
from ..runtime.native.notices import Notices
from ..runtime.native.object_cache import Cache, cache_of, option_of
from ..runtime.native.weight_options import FLOAT32, WeightRules, Weights, check_weights, weight_rules
from ..runtime.native.worker_pool import ThreadCount
from ..runtime.parameters import Parameters
from ..runtime.streams.stream import Stream
from ..storage.atomic_file import as_path, replace_file
from ..support.api_guard import api, no_more
from ..support.arguments import checked_name, flag, seed_number, whole_number
from ..support.attribute_hints import Uncalled
from ..support.errors import DtypeError, GraphError, shown, user_line
from .callable_graph import CallableGraph
from .columns import ColumnCall
from .held_weights import warn_of_kinds_without_effect
from .html_forms import TwoGraphs, program_html
from .inference_graph import InferenceGraph
from .input_specs import InputSpec, InputSpecs, output_specs
from .parts import CompileKeywords, ProgramParts, Reduced, renamed, without_output
from .seeds import SeedGenerator
from .shared_parameters import check_shared, shared
from .training_graph import TrainingGraph

if TYPE_CHECKING:
    import networkx as nx

    from ..inspection.explore.page import Page
    from ..inspection.profile.profile import Profile
    from .saved.save_load import SavedSource
    from .summary import Summary


PROGRAM = "program"
"""What pickled, where it is all of a program and not one of its graphs."""


@overload
def compile(outputs: Tensor, loss: None = None, **options: Unpack[CompileKeywords]) -> Program[np.ndarray]: ...
@overload
def compile(outputs: Tensor, loss: Tensor, **options: Unpack[CompileKeywords]) -> Program[np.ndarray, Result]: ...
@overload
def compile(outputs: Mapping[str, Any], loss: Tensor | None = None, **options: Unpack[CompileKeywords]) -> Program: ...
@api
def compile(  # the field's name for it
    outputs: Any,
    loss: Tensor | None = None,
    *,
    seed: int = 0,
    target: str | None = None,
    threads: int = 1,
    unroll: int | str | None = None,
    weights: Weights = "float32",
    activations: str = "float32",
    sparse: bool = False,
    parameters: Any = None,
    cache: bool | str | os.PathLike[str] = True,
    states: Mapping[str, Any] | None = None,
    classes: Mapping[str, Sequence[Any]] | Sequence[Any] | None = None,
    direct_calls: bool = True,
    chunked: int | None = None,
) -> Program[Any]:
    """Compiles one declaration into a training and an inference program with one set of parameters.

    outputs: a Tensor, or a mapping from names to (nests of) Tensors, such as the ``outputs`` of a net that was read.
    loss: a scalar Tensor.
    seed: of initial values and of masks drawn without a seed.
    target: ``host`` (default), ``x86-64-v2``, ``x86-64-v3``, ``x86-64-v4``.
    threads: how many may share a call, with the same results.
    unroll: steps per turn, or ``"full"`` for int lengths.
    weights: ``float32``, or ``bfloat16`` or ``int8``, in which inference multiplies by large weights, or
        ``rg.Narrow(kind, force=True)``, by small ones too; training does not see it. A mapping from patterns of
        parameters' names to kinds, such as ``{"head/*": "bfloat16", "*": "int8"}``, of which the first that matches
        counts. A warning says where a kind changes nothing; ``summary()`` says how each parameter is held.
    activations: the kind of narrow weights, which is faster and rounds activations to 8 bits; else 16 bits or more.
    sparse: whether inference leaves out blocks of weights that are zero, such as a trainer's ``Prune`` makes. They are
        looked for when parameters change. Results are as without; what is left out spreads no NaN.
    parameters: a Program or its parameters; nodes declared once keep its names and arrays, new ones are added with a
        warning. Raises ``GraphError`` where there are new ones only.
    cache: whether compiled code is kept for later processes, in the user's cache directory or in the one given here.
    states: {name of an output: placeholder, or its name} where an output is a placeholder's next value, as in nets of
        files. Streams and what is exported of them keep such states by themselves, from the placeholder's default or
        zeros on; calls take and give them as before.
    classes: {path of an output: names of the entries of its last axis}, or the names alone where there is one output.
        They are in ``program.classes``, in saved programs and in what is exported.
    direct_calls: whether frequent calls of ``program.inference``, ``stream.step`` and ``stream.process`` skip Python.
        With False each runs their Python functions, for debuggers and profilers; the results are the same.
    chunked: steps, at most, that training takes together of affine recurrences, up to rounding as single steps;
        ``summary()`` says of which. Raises ``GraphError`` where none is affine.

    Raises ``ArgumentError`` for other values, ``DtypeError`` where weights are to be narrow and a parameter is float64.
    """
    known, other = shared(parameters)
    source = DeclaredSource(outputs, loss, known, states, classes)
    check_shared(source, known, other, user_line())
    number = seed_number(seed)
    program: Program[Any] = Program(
        source, Parameters(source.lowered.slots, number, other), number, target, threads, unroll, cache,
        weight_rules(weights), activations, None, flag(sparse, "sparse"), flag(direct_calls, "direct_calls"),
        checked_chunked(chunked, source.lowered.graph, user_line()),
    )  # fmt: skip
    warn_of_kinds_without_effect(program.inference, program.options, user_line())
    return program


@api
def load(
    path: str | os.PathLike[str],
    threads: int = 1,
    target: str | None = None,
    cache: bool | str | os.PathLike[str] = True,
    weights: Weights | None = None,
    activations: str | None = None,
    sparse: bool | None = None,
    direct_calls: bool = True,
) -> Program[Any]:
    """The program that ``program.save(path)`` wrote. It does all that the saved one did, without its declaration.

    threads, target, cache, direct_calls: as for ``compile``.
    weights, activations: likewise; without ``weights`` both are as saved.
    sparse: likewise; None as saved.

    Needs none of the user's classes, and executes nothing of what it reads.

    Raises ``FileError`` where ``path`` holds no program, a damaged one, or one of a later version.
    """
    from .saved.save_load import read_program  # the parser and what checks files: few load or save

    is_direct = flag(direct_calls, "direct_calls")
    program = _of_source(read_program(path), threads, target, cache, weights, activations, sparse, is_direct)
    if weights is not None:
        warn_of_kinds_without_effect(program.inference, program.options, user_line())
    return program


@api
def loads(data: bytes, cache: bool | str | os.PathLike[str] | None = None) -> Any:
    """What ``rg.dumps`` wrote, and what is called to unpickle: a program, one of its graphs, or a stream.

    It shares nothing with the one that was written.

    cache: as for ``compile``; None as it was written.

    Executes nothing of what it reads.

    Raises ``FileError`` where ``data`` is damaged, of another version, or anything else.
    """
    from .saved.byte_form import from_bytes  # the parser and what checks files: few load or save

    where = user_line()
    found = from_bytes(data, where)
    program = _of_source(
        found.source, found.threads, found.target, found.cache if cache is None else cache,
        direct_calls=found.direct_calls,
    )  # fmt: skip
    if found.part == PROGRAM:
        return program
    graph: InferenceGraph[Any] = getattr(program, found.part)
    return graph.made(found.made, found.arrays, where) if found.made else graph


@api
def dumps(thing: Any) -> bytes:
    """A program, one of its graphs, or a stream as bytes for ``rg.loads``, which trusts nothing that it reads.

    They are what ``pickle`` keeps. Raises ``DtypeError`` for anything else.
    """
    if not isinstance(thing, Program | CallableGraph | ColumnCall | Stream):
        raise DtypeError(f"dumps takes a Program, one of its graphs or a Stream, not {shown(thing)}")
    _, (data, *_) = thing.__reduce__()
    return bytes(data)


def _of_source(
    saved: SavedSource, threads: int, target: str | None, cache: Any, weights: Weights | None = None,
    activations: str | None = None, sparse: bool | None = None, direct_calls: bool = True,
) -> Program[Any]:  # fmt: skip
    settings = saved.settings
    parameters = Parameters(saved.lowered.slots, settings.seed, given=saved.parameters)
    if weights is None:
        rules, activations = settings.weights, settings.activations if activations is None else activations
    else:
        rules = weight_rules(weights)
    program = Program(
        saved, parameters, settings.seed, target, threads, settings.unroll, cache, rules,
        "float32" if activations is None else activations,
        None, settings.sparse if sparse is None else flag(sparse, "sparse"), direct_calls, settings.chunked,
    )  # fmt: skip
    program.parts.seeds.state = settings.generator
    return program


def _reduced(parts: ProgramParts, part: str, made: Mapping[str, Any], arrays: Mapping[str, Any]) -> Reduced:
    """How a program pickles, or what is made of it. Where compiled code is kept is no part of the bytes: they may come
    from anyone, and code is run.
    """
    from .saved.byte_form import to_bytes
    from .saved.save_load import settings_of

    options, cache = parts.options, option_of(parts.options.cache)
    text = {
        "part": part, "made": made, "threads": options.threads.count, "target": options.target.name,
        "cache": cache is not False, "direct_calls": options.direct_calls,
    }  # fmt: skip
    settings = settings_of(options, parts.seeds.seed, parts.seeds.state)
    data = to_bytes(parts.source, parts.parameters, settings, text, arrays, parts.kept)
    return loads, ((data,) if isinstance(cache, bool) else (data, cache))


@api
class Program(Uncalled, Generic[Given, Trained]):
    """A compiled declaration: ``inference``, ``training`` and their ``parameters``."""

    if not TYPE_CHECKING:  # one parameter will do, as a default is known to type checkers alone
        __class_getitem__ = classmethod(GenericAlias)

    def __init__(
        self, source: GraphSource, parameters: Parameters, seed: int, target: str | None, threads: int,
        unroll: int | str | None, cache: bool | str | os.PathLike[str] | Cache = True, weights: WeightRules = FLOAT32,
        activations: str = "float32", notices: Notices | None = None, sparse: bool = False,
        direct_calls: bool = True, chunked: int | None = None,
    ) -> None:  # fmt: skip
        is_full = isinstance(unroll, str) and unroll == "full"
        unroll = unroll if is_full else steps_per_turn(unroll)
        lowered, workers = source.lowered, ThreadCount()
        workers.set(whole_number(threads, "threads", 1))
        chosen = target_of(target)
        check_weights(weights, activations, lowered)
        kept = cache_of(cache, user_line())
        if is_full:
            check_lengths(lowered.graph)
        options = CompileOptions(
            chosen, unroll, weights, activations, sparse, kept, workers, notices or Notices(),
            tuple(lowered.slots.values()), direct_calls, chunked,
        )  # fmt: skip
        parts = ProgramParts(source, parameters, options, FeedNames(lowered), SeedGenerator(seed), _reduced)
        self.parts, self.parameters, self.options = parts, parameters, options
        self.structure, self.loss = source.structure, source.loss
        graph = lowered.graph
        without_loss = without_output(graph, "loss") if self.loss is not None else graph
        self.inference: InferenceGraph[Given] = InferenceGraph(parts, renamed(without_loss, "inference"))
        self.evaluation: InferenceGraph[Trained] = InferenceGraph(parts, renamed(graph, "evaluation"))
        self.training: TrainingGraph[Trained] = TrainingGraph(
            parts, renamed(graph, "training"), renamed(lowered.masks, "masks")
        )
        parts.names.inputs = [name for name in self.inference.input_names() if name not in lowered.defaults]

    @property
    def seed(self) -> int:
        """The seed of initial values, of masks drawn without a seed, and of the order of examples."""
        return self.parts.seeds.seed

    @property
    def threads(self) -> int:
        """Worker threads of a call; results do not depend on it."""
        return self.options.threads.count

    @threads.setter
    def threads(self, count: int) -> None:
        self.options.threads.set(whole_number(count, "threads", 1))

    @property
    def target(self) -> Target:
        """What the program is compiled for."""
        return self.options.target

    @property
    def declared(self) -> nx.DiGraph[str]:
        """The declaration: cells, wrappers, stacks, drivers and tensors as nodes."""
        return self.parts.source.described().graph()

    def declared_text(self) -> str:
        return self.parts.source.described().text()

    @api
    def plot(
        self, path: str | os.PathLike[str], graphs: str = "both", detail: str | None = None
    ) -> None:  # fmt: skip
        """Draws the declaration: layers, the cells and wrappers in them with their equations, recurrences as loops.

        path: of an .svg file, or with matplotlib of a .png file.
        graphs: ``both`` side by side, ``training`` or ``inference``; dropout and the loss stand in training alone.
        detail: ``layers``, also ``cells`` and wrappers, or also ``equations``; None: as much as is not too high.

        Raises ``ArgumentError`` for other values, ``FileError`` where it can't be written, ``MissingExtraError`` for
        .png without matplotlib.
        """
        from ..inspection.picture.pictures import write_picture  # few draw

        write_picture(self.parts.source, path, graphs, detail)

    @api
    def explore(
        self, path: str | os.PathLike[str] | None = None, feeds: Mapping[Any, Any] | None = None,
        profile: Profile | Sequence[Profile] | None = None, title: str = "",
    ) -> Page:  # fmt: skip
        """A page that shows the net at every level: script, declaration, each stage of both graphs, parameters. What
        belongs together lights up in all of them. It is one HTML file that needs no network and no server.

        path: where it is written; None: nowhere.
        feeds: of a call of ``inference``, whose taps are shown.
        profile: what ``inference.profile`` or ``training.profile`` gave, or several: times as heat.
        title: of the page; the script's name where there is none.

        Gives the page's text, which a notebook shows as the page. Raises ``FileError`` where it can't be written,
        ``DtypeError`` for other values.
        """
        from ..inspection.explore.page import checked_profiles, page_text  # few look

        target = None if path is None else as_path(path)
        profiles, name = checked_profiles(profile), checked_name(title, "a page", any_text=True) if title else ""
        taps = {} if feeds is None else self.inference.taps(feeds)
        graphs = {"training": self.training.full_graph(), "inference": self.inference.full_graph()}
        text = page_text(self.parts.source, graphs, self.parameters, taps, profiles, name)
        if target is not None:
            with replace_file(target) as file:
                file.write(text.encode("utf-8", "replace"))
        return text

    def evaluate(
        self, feeds: Mapping[Any, Any] | ArrayLike | None = None, /, *excess: Never, out: Any = None, **named: Any
    ) -> Result:
        """Outputs and ``"loss"``, without dropout; written to ``out``, if it is given."""
        if excess:
            no_more("evaluate", excess, self.evaluation.input_names())
        if self.loss is None:
            raise GraphError("evaluate needs a loss; give one to rg.compile")
        result = self.evaluation(feeds, out=out, **named)
        assert isinstance(result, Result)
        return result

    @api
    def predict(self, examples: Any, *, lengths: Any = None, batch_size: int = 32) -> Any:
        """What ``inference`` gives, over any number of examples: as if each had been run alone, bit for bit.

        examples, lengths: as for ``Trainer.fit``, or for a graph with one input its array or list alone; what only
            training takes is left aside.
        batch_size: how many run together, which has no effect on results; batches of an iterable are run as they come.

        The first axis of every result numbers the examples, in their order. Where an open length of time gave them
        different shapes it is a list of arrays instead, each cut to its own example. What is the same for all examples
        is given once. Raises ``GraphError`` for an output that mixes examples and has no axis for them.
        """
        from .predict import predict  # and with it batches, which calls do without

        graphs = self.inference, self.evaluation, self.training
        return predict(*graphs, examples, lengths, batch_size, user_line())

    @property
    def inputs(self) -> dict[str, InputSpec]:
        """{name: shape and dtype} of all placeholders; an open size without a name is None."""
        shapes = self.parts.source.shapes
        kinds = self.training.input_types()
        return InputSpecs({name: InputSpec(shapes[name], kind.dtype) for name, kind in kinds.items()})

    @property
    def outputs(self) -> dict[str, InputSpec]:
        """{path: shape and dtype} of what inference gives; an open size without a name is None.

        One bare Tensor is ``output``.
        """
        return output_specs(self.inference.compiled.lowered, self.parts.source.shapes, BARE)

    @property
    def classes(self) -> Classes:
        """{path of an output: names of its classes}, as ``rg.compile`` was given them; a bare Tensor is ``output``."""
        return MappingProxyType({path or BARE: names for path, names in self.parts.source.classes.items()})

    @api
    def initialize(self, seed: int) -> None:
        """Draws all parameters anew, by ``seed``."""
        self.parameters.initialize(seed)

    def with_outputs(self, outputs: Any) -> Program:
        """A program of other outputs of the declaration, with this one's parameters, target, threads and cache, whose
        compiling is told together with this one's.
        """
        known, parameters = shared(self)
        source, options = DeclaredSource(outputs, None, known), self.options
        own = Parameters(source.lowered.slots, self.seed, parameters)
        return Program(
            source, own, self.seed, options.target.name, self.threads, None, options.cache or False,
            notices=options.notices, direct_calls=options.direct_calls,
        )  # fmt: skip

    @api
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the program to a directory, whole or not at all: declaration and graphs as text, weights as arrays.

        ``load`` needs nothing else. An earlier program there is replaced. Raises ``FileError`` where it can't be
        written or ``path`` holds anything else.
        """
        from .saved.save_load import settings_of, write_program

        seeds = self.parts.seeds
        write_program(self.parts.source, self.parameters, settings_of(self.options, seeds.seed, seeds.state), path)

    def __repr__(self) -> str:
        count = sum(evaluate(product(spec.type.shape), {}) for spec in self.parts.lowered.slots)
        inputs, target = ", ".join(self.inputs) or "nothing", self.target.name
        return f"<Program of {inputs}: {len(self.parameters)} parameters with {count:,} numbers, for {target}>"

    def _repr_html_(self) -> str:
        return program_html(self.parts, TwoGraphs(self.inference, self.training), self.summary())

    def __reduce__(self) -> Reduced:
        return self.parts.reduced(PROGRAM)

    @api
    def summary(self) -> Summary:
        """Layer by layer: parameters, their bytes, multiply-adds of products, and about how long a step takes.

        A step is the inference graph with every open size 1: one row and one step, as a stream runs them; a
        declared length counts in full. The time is estimated from counts: the longer of multiplying at the target's
        vector width and of reading the weights from the cache that holds them all, and the elementwise ops, at 3 GHz.
        Bytes are those that inference reads, fewer in 16 or 8 bits. More rows share the reading; ``rnngraph bench``
        measures. With ``weights=`` a line for each parameter says how it is held, and why it stays float32 where it
        does. Below stand affine recurrences; with ``chunked=`` all, and how training runs them.
        """
        from .summary import summary_of

        return summary_of(self.inference.graph, self.parts)


def compile_beside(outputs: Mapping[str, Any], loss: Tensor | None, other: Program[Any] | None, seed: int) -> Program:
    """Compile outputs with the parameters of a program, as far as it has them."""
    known, parameters = shared(other)
    source = DeclaredSource(outputs, loss, known)
    return Program(source, Parameters(source.lowered.slots, seed_number(seed), parameters), seed, None, 1, None)
