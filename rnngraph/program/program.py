"""Programs: one declaration as two graphs, callable, with one set of parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import GenericAlias, MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Never, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike

from ..codegen.machine.target import Target
from ..declare.tensor import Tensor
from ..ir.types import evaluate, product
from ..runtime.calls.feed_names import FeedNames
from ..runtime.calls.results import Result, ResultT, TrainedT
from ..runtime.class_names import BARE, Classes
from ..runtime.graph_source import DeclaredSource, GraphSource
from ..runtime.native.compile_options import ProgramOptions, checked_chunking
from ..runtime.native.object_cache import cache_of, option_of
from ..runtime.native.weight_options import Weights, weight_rules
from ..runtime.parameters import Parameters
from ..storage.atomic_file import as_path, replace_file
from ..support.api_guard import api, no_more
from ..support.arguments import checked_name, flag, seed_number, whole_number
from ..support.attribute_hints import Uncalled
from ..support.errors import DtypeError, GraphError, shown, user_line
from ..support.garbage import collector_paused
from .callable_graph import CallableGraph
from .held_weights import narrow_parameters, warn_of_kinds_without_effect
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
    from .reports.summary import Summary
    from .saved.save_load import SavedSource

PROGRAM = "program"
"""Name of a pickled part that is a whole program."""


@overload
def compile(outputs: Tensor, loss: None = None, **options: Unpack[CompileKeywords]) -> Program[np.ndarray]: ...
@overload
def compile(outputs: Tensor, loss: Tensor, **options: Unpack[CompileKeywords]) -> Program[np.ndarray, Result]: ...
@overload
def compile(outputs: Mapping[str, Any], loss: Tensor | None = None, **options: Unpack[CompileKeywords]) -> Program: ...
@api
@collector_paused()
def compile(  # the usual name in the field
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
    chunked_dtype: str = "float32",
) -> Program[Any]:
    """Compile a declaration into a training and an inference graph with one set of parameters.

    Args:
        outputs: A Tensor, or a mapping from names to (nests of) Tensors, such as ``outputs`` of a net from a file.
        loss: Scalar Tensor. None: ``evaluate`` raises ``GraphError``, and gradients need ``output_gradients``.
        seed: Seed of initial values, and of masks drawn without a seed.
        target: ``host`` (default), ``x86-64-v2`` to ``x86-64-v4``, or a processor to export for, as ``aarch64-linux``.
        threads: Maximum threads of a call, without effect on results.
        unroll: Steps per iteration of a loop, or ``"full"`` for int lengths.
        weights: Kind of large weights in inference: ``float32``, ``bfloat16``, ``int8``, ``int8_blocks``, ``int4``, or
            ``rg.Narrow(kind, force=True)`` for small ones, too. Or {pattern of names: kind}; the first match counts.
        activations: ``bfloat16`` or ``int8``, as in ``weights``: also rounds activations, which is faster, less exact.
        sparse: Skip blocks of zero weights in inference, such as those of ``Prune``. Skipped blocks propagate no NaN.
        parameters: A Program, or its parameters. Those that both declare are shared; a warning lists the others.
        cache: Keep compiled code for later processes: True for the user's cache directory, or the path of another one.
        states: {name of an output: placeholder whose next value it is}. Streams and exports keep these states.
        classes: {path of an output: names along its last axis}, or the names alone for one output.
        direct_calls: True: frequent calls skip the Python functions, so that breakpoints in them are not reached and
            profilers do not see the calls. False: every call runs them.
        chunked: Maximum steps that training computes together in affine recurrences. Rounding differs.
        chunked_dtype: ``bfloat16`` rounds factors of the chunks' products, for processors with matrix units (AMX).

    Raises:
        DtypeError: A parameter, or a state in chunks, should be narrow but is float64.
        GraphError: No parameter is shared with ``parameters``, or with ``chunked`` no recurrence is affine.
    """
    known, other = shared(parameters)
    source = DeclaredSource(outputs, loss, known, states, classes)
    check_shared(source, known, other, user_line())
    number = seed_number(seed)
    options = ProgramOptions(
        target=target,
        threads=threads,
        unroll=unroll,
        cache=cache,
        weights=weight_rules(weights),
        activations=activations,
        sparse=flag(sparse, "sparse"),
        direct_calls=flag(direct_calls, "direct_calls"),
        chunked=checked_chunking(chunked, chunked_dtype, source.lowered.graph, user_line()),
    )
    program: Program[Any] = Program(source, Parameters(source.lowered.slots, number, other), number, options)
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
    keep: bool = True,
) -> Program[Any]:
    """Load the program that ``program.save(path)`` wrote, without its declaration. Nothing in the files is executed.

    Args:
        path: Directory. Large weights stay in their file until they are needed.
        weights, activations: As for ``compile``; None: as saved. ``weights`` alone resets activations to ``float32``.
        sparse: As for ``compile``; None: as saved.
        threads, target, cache, direct_calls: As for ``compile``.
        keep: False: drop weights that inference reads only as narrow copies. If there are any, training, editing and
            saving raise ``GraphError``.

    Raises:
        FileError: ``path`` is not a program, is damaged, of a later version, or was changed after saving.
    """
    from .saved.save_load import read_program  # parser and file checks, rarely needed

    is_direct, is_kept, compiled = flag(direct_calls, "direct_calls"), flag(keep, "keep"), cache_of(cache, user_line())
    saved = read_program(path, compiled)
    settings = saved.settings.changed(weights, activations, sparse)
    options = settings.options(target, threads, False if compiled is None else compiled, is_direct)
    program = _of_source(saved, options)
    if weights is not None:
        warn_of_kinds_without_effect(program.inference, program.options, user_line())
    if not is_kept:
        program.parameters.drop(narrow_parameters(program.inference, program.options))
    return program


@api
def loads(data: bytes, cache: bool | str | os.PathLike[str] | None = None) -> Any:
    """Restore an object from the bytes of ``rg.dumps``. Nothing in them is executed.

    Args:
        data: The bytes.
        cache: As for ``compile``. None: the setting of the pickled object.

    Raises:
        FileError: ``data`` is damaged, of another version, or not from ``rg.dumps``.
    """
    from .saved.byte_form import from_bytes  # parser and file checks, rarely needed

    where = user_line()
    pickled = from_bytes(data, where)
    kept = pickled.cache if cache is None else cache
    options = pickled.source.settings.options(pickled.target, pickled.threads, kept, pickled.direct_calls)
    program = _of_source(pickled.source, options)
    if pickled.part == PROGRAM:
        return program
    graph: InferenceGraph[Any] = getattr(program, pickled.part)
    return graph.restore(pickled.arguments, pickled.arrays, where) if pickled.arguments else graph


@api
def dumps(value: Any) -> bytes:
    """Return a program or an object of it as bytes, for ``rg.loads`` or as ``pickle`` stores them.

    Args:
        value: The program, one of its graphs, a stream, or the result of ``on_columns``.

    Raises:
        DtypeError: ``value`` is none of these.
    """
    from ..runtime.streams.stream import Stream  # rarely needed
    from .columns import ColumnCall

    if not isinstance(value, Program | CallableGraph | ColumnCall | Stream):
        raise DtypeError(f"dumps takes a Program, one of its graphs or a Stream, not {shown(value)}")
    return bytes(value.__reduce__()[1][0])


def _of_source(saved: SavedSource, options: ProgramOptions) -> Program[Any]:
    parameters = Parameters(saved.lowered.slots, saved.settings.seed, values=saved.parameters)
    program: Program[Any] = Program(saved, parameters, saved.settings.seed, options)
    program.parts.seeds.state = saved.settings.generator
    return program


def _reduced(parts: ProgramParts, part: str, arguments: Mapping[str, Any], arrays: Mapping[str, Any]) -> Reduced:
    """Return what ``__reduce__`` must, for a program or an object made from it: ``loads`` and its arguments."""
    from .saved.byte_form import to_bytes
    from .saved.save_load import settings_of

    options, cache = parts.options, option_of(parts.options.cache)
    text = {
        "part": part,
        "made": arguments,
        "threads": options.threads.count,
        "target": options.target.name,
        "cache": cache is not False,
        "direct_calls": options.direct_calls,
    }
    settings = settings_of(options, parts.seeds.seed, parts.seeds.state)
    data = to_bytes(parts.source, parts.parameters, settings, text, arrays, parts.kept)
    return loads, ((data,) if isinstance(cache, bool) else (data, cache))


@api
class Program(Uncalled, Generic[ResultT, TrainedT]):
    """Compiled declaration: ``inference``, ``training`` and their ``parameters``."""

    if not TYPE_CHECKING:  # at run time, accept Program[T] with one type parameter
        __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, source: GraphSource, parameters: Parameters, seed: int, options: ProgramOptions) -> None:
        self.options = options.checked(source.lowered, user_line())
        lowered, graph = source.lowered, source.lowered.graph
        parts = ProgramParts(source, parameters, self.options, FeedNames(lowered), SeedGenerator(seed), _reduced)
        self.parts, self.parameters = parts, parameters
        self.structure, self.loss = source.structure, source.loss
        without_loss = without_output(graph, "loss") if self.loss is not None else graph
        self.inference: InferenceGraph[ResultT] = InferenceGraph(parts, renamed(without_loss, "inference"))
        self.evaluation: InferenceGraph[TrainedT] = InferenceGraph(parts, renamed(graph, "evaluation"))
        self.training: TrainingGraph[TrainedT] = TrainingGraph(
            parts, renamed(graph, "training"), renamed(lowered.masks, "masks")
        )
        parts.names.set_inputs(self.inference.compiled.input_labels())

    @property
    def seed(self) -> int:
        """Seed of initial values, of masks drawn without a seed, and of the order of examples."""
        return self.parts.seeds.seed

    @property
    def threads(self) -> int:
        """Maximum threads of a call. Results do not depend on it."""
        return self.options.threads.count

    @threads.setter
    def threads(self, count: int) -> None:
        self.options.threads.set(whole_number(count, "threads", 1))

    @property
    def target(self) -> Target:
        """Processor for which the program is compiled."""
        return self.options.target

    @property
    def declared(self) -> nx.DiGraph[str]:
        """The declaration as a graph of cells, wrappers, stacks, drivers and tensors."""
        return self.parts.source.described().graph()

    def declared_text(self) -> str:
        return self.parts.source.described().text()

    @api
    def plot(self, path: str | os.PathLike[str], graphs: str = "both", detail: str | None = None) -> None:
        """Draw the declaration: layers, their cells and wrappers with equations, and recurrences as loops.

        Args:
            path: An .svg file, or with matplotlib a .png file.
            graphs: ``both``, ``training`` or ``inference``. Dropout and the loss are only in training.
            detail: ``layers``, ``cells`` or ``equations``; by default as much as fits.

        Raises:
            FileError: The file cannot be written.
            MissingExtraError: A .png needs matplotlib.
        """
        from ..inspection.picture.pictures import write_picture  # rarely needed

        write_picture(self.parts.source, path, graphs, detail)

    @api
    def explore(
        self,
        path: str | os.PathLike[str] | None = None,
        feeds: Mapping[Any, Any] | None = None,
        profile: Profile | Sequence[Profile] | None = None,
        title: str = "",
    ) -> Page:
        """Return an HTML page that shows the net at every level, with linked highlights, for use offline.

        Args:
            path: File to write, if any.
            feeds: Feeds of a call of ``inference``. The page shows its taps.
            profile: Result of ``inference.profile`` or ``training.profile``, or several, shown as heat.
            title: Title of the page; by default the script's name.

        Raises:
            FileError: The file cannot be written.
        """
        from ..inspection.explore.page import checked_profiles, page_text  # rarely needed

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
        """Return the outputs and ``"loss"`` without dropout. Arguments are as for ``inference``.

        Raises:
            GraphError: The program has no loss.
        """
        if excess:
            no_more("evaluate", excess, self.evaluation.input_names())
        if self.loss is None:
            raise GraphError("evaluate needs a loss; give one to rg.compile")
        result = self.evaluation(feeds, out=out, **named)
        assert isinstance(result, Result)
        return result

    @api
    def predict(self, examples: Any, *, lengths: Any = None, batch_size: int = 32) -> Any:
        """Run ``inference`` over any number of examples. Results equal those of each example alone, bit for bit.

        Args:
            examples: As for ``Trainer.fit``; or for one input, its array or list. Feeds for training only are ignored.
            lengths: As for ``Trainer.fit``.
            batch_size: Examples that run together, without effect on results. Batches of an iterable run as they come.

        Returns:
            Results whose first axis is the examples; a list of arrays if their lengths differ. A result that is the
            same for all examples is returned once.

        Raises:
            GraphError: An output mixes examples.
        """
        from .predict import predict  # imports batching, which calls do not need

        graphs = self.inference, self.evaluation, self.training
        return predict(*graphs, examples, lengths, batch_size, user_line())

    @property
    def inputs(self) -> dict[str, InputSpec]:
        """{name: shape and dtype} of all placeholders, with None for an unnamed symbolic size."""
        shapes = self.parts.source.shapes
        kinds = self.training.input_types()
        return InputSpecs({name: InputSpec(shapes[name], kind.dtype) for name, kind in kinds.items()})

    @property
    def outputs(self) -> dict[str, InputSpec]:
        """{path: shape and dtype} of inference's outputs, as in ``inputs``. A bare Tensor is ``output``."""
        return output_specs(self.inference.compiled.lowered, self.parts.source.shapes, BARE)

    @property
    def classes(self) -> Classes:
        """{path of an output: names of its classes}, as passed to ``rg.compile``. A bare Tensor is ``output``."""
        return MappingProxyType({path or BARE: names for path, names in self.parts.source.classes.items()})

    @api
    def initialize(self, seed: int) -> None:
        """Draw all parameters again, from ``seed``."""
        self.parameters.initialize(seed)

    def with_outputs(self, outputs: Any) -> Program:
        """Compile other outputs, with this program's parameters, target, threads and cache, and float32 weights."""
        known, parameters = shared(self)
        source = DeclaredSource(outputs, None, known)
        own = Parameters(source.lowered.slots, self.seed, parameters)
        return Program(source, own, self.seed, replace(self.options.plain(), direct_calls=self.options.direct_calls))

    @api
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a directory, atomically: declaration and graphs as text, weights as arrays.

        Args:
            path: Directory for ``load``. An earlier program in it is replaced.

        Raises:
            FileError: It cannot be written, or ``path`` has other contents.
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
    def summary(self, *, sensitivity: Mapping[Any, Any] | None = None) -> Summary:
        """Return a table by layer: parameters, their bytes, multiply-adds, and estimated seconds of a step.

        A step is the inference graph with every symbolic size 1, as a stream runs it; declared lengths count in full.
        Seconds are an estimate at 3 GHz; ``rnngraph bench`` measures them. They are the longer of multiplying, at the
        target's vector width, and reading weights, plus elementwise ops. With ``weights=``, a line for each parameter
        explains its kind. Affine recurrences are listed at the end.

        Args:
            sensitivity: Feeds of one call. Adds the changes that narrow weights in one layer alone cause, with one
                compilation for each layer: of the outputs (root mean square, relative), and of the loss if it is fed.
                Raises ``GraphError`` if no weight is narrow.
        """
        from .reports.sensitivity import sensitivities
        from .reports.summary import summary_of

        graph, changes, has_loss = self.inference.graph, None, self.loss is not None
        if sensitivity is not None:
            with_loss = has_loss and len(sensitivity) >= len(self.evaluation.input_names())
            run = self.evaluation.run_with(sensitivity) if with_loss else self.inference.run_with(sensitivity)
            changes = sensitivities(graph, self.options, self.parameters.layer, run)
        return summary_of(graph, self.parts.lowered.graph, self.parameters, self.options, changes)


def compile_beside(outputs: Mapping[str, Any], loss: Tensor | None, other: Program[Any] | None, seed: int) -> Program:
    """Compile outputs with default options. They use the parameters of ``other``, unless it is None."""
    known, parameters = shared(other)
    source = DeclaredSource(outputs, loss, known)
    return Program(source, Parameters(source.lowered.slots, seed_number(seed), parameters), seed, ProgramOptions())
