"""Calls of a program's training graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never, cast

import numpy as np
from numpy.typing import ArrayLike

from ..declare.nest import is_leaf
from ..declare.tensor import Tensor
from ..ir.graph import Graph
from ..passes.gradients.autodiff import OUTPUT_GRADIENT, PREFIX
from ..passes.lowering.lowered import TAP
from ..passes.samples import BETWEEN_SEEDS
from ..runtime.calls.call_cache import DirectCache
from ..runtime.calls.entry_blocks import run_once
from ..runtime.calls.feeds import convert, solve_sizes
from ..runtime.calls.nested_feeds import gathered, names_under
from ..runtime.calls.outputs import OutSpec, given_gradients
from ..runtime.calls.prepared_call import SEED
from ..runtime.calls.results import Given, Result, ResultWriter
from ..runtime.graph_source import TAPS_TRAINING
from ..runtime.native.compiled_graph import CompiledGraph
from ..runtime.native.recomputation import AUTO, RecomputeOption, checked_recompute
from ..support.api_guard import api, no_more
from ..support.arguments import seed_number, whole_number
from ..support.errors import ArgumentError, GraphError, NameLookupError, Where, user_line
from .callable_graph import CallableGraph, CallForm, by_name
from .gradients import GradientGraphs
from .parts import ProgramParts
from .sampled_graphs import SampledGraphs

if TYPE_CHECKING:
    from ..inspection.profile.profile import Profile
    from ..runtime.calls.non_finite import NonFinite
    from .memory_report import MemoryUsage


class TrainingGraph(CallableGraph[Given]):
    """The training graph: masks drawn from a seed, and the loss where its placeholders are fed."""

    kind = "training"
    taps_form = TAPS_TRAINING

    def __init__(self, parts: ProgramParts, lowered: Graph, masks: Graph) -> None:
        super().__init__(parts, lowered)
        self._draw = parts.seeds.draw
        self._gradients = GradientGraphs(parts, lowered, self._types)
        self._sampled = SampledGraphs()
        self._masks = CompiledGraph(masks, "training", replace(parts.options, unroll=None), parts.source.described)

    def gather(
        self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], where: Where | None
    ) -> dict[str, np.ndarray]:
        arrays = super().gather(feeds, named, where)
        for name in self.parts.lowered.keep_probs & arrays.keys():
            if not 0 < np.float32(arrays[name]) <= 1:  # masks are drawn in float32
                raise ArgumentError(
                    f"feed {name} is {float(arrays[name]):g}, outside (0, 1]; it is the probability to keep a unit, "
                    "1.0 keeps all",
                    where,
                )
        return arrays

    def __call__(
        self, feeds: Mapping[Any, Any] | ArrayLike | None = None, /, *excess: Never, seed: int | None = None,
        out: Any = None, samples: int | None = None, first_row: int = 0, first_step: int = 0, **named: Any,
    ) -> Given:  # fmt: skip
        """Runs the graph with dropout. The same seed gives the same masks, bit for bit.

        feeds: placeholders by keyword, one mapping, or the array of the only input beside what is fed by keyword.

        samples: this many draws, stacked on a new first axis of every result, the loss too; entry k has the masks of
        ``seed=seed + k * 2**32`` (modulo 2**64). What no mask touches is computed once.

        seed: an int; None draws the next from the program's own generator. first_row, first_step: where this
        call's rows and steps begin in a larger whole, so that a split call draws the whole's masks.
        """
        if excess:
            no_more("training", excess, self.input_names())
        if feeds is not None and type(feeds) is not dict and not isinstance(feeds, Mapping):
            feeds, named = None, self.parts.names.with_input(feeds, named, user_line())
        plain = samples is None and _are_plain(seed, first_row, first_step)
        if plain and (result := self._calls.attempt(feeds, named, seed, out)) is not None:
            return cast("Given", result)
        where = user_line()
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(seed, first_row, first_step))
        form = self._form(self._fed_outputs(arrays))
        if samples is not None:
            return cast("Given", self._drawn(samples, form, arrays, where, out))
        return cast("Given", self._run(form, arrays, where, out, self._calls, feeds if plain else (), named))

    @api
    def taps(
        self, feeds: Mapping[Any, Any] | None = None, /, *, seed: int | None = None, samples: int | None = None,
        first_row: int = 0, first_step: int = 0, **named: Any,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """{name: array} of all that ``rg.tap`` names, in the order of declaration, as a call with these arguments has
        them: of several ``samples`` stacked.

        What only the loss reads is left out where the loss is not fed.
        """
        where = user_line()
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(seed, first_row, first_step))
        return self._tap_values(arrays, lambda form: self._drawn(samples, form, arrays, where))

    def _drawn(
        self, samples: int | None, form: CallForm, arrays: Mapping[str, np.ndarray], where: Where | None,
        out: Any = None,
    ) -> Any:  # fmt: skip
        """What one draw gives, or several together."""
        if samples is None:
            return self._run(form, arrays, where, out)
        together = self._sampled.graph(samples, form.compiled, form.outputs, where)
        if together is not None:
            return self._run(form._replace(compiled=together), arrays, where, out)
        return self._one_by_one(samples, form, arrays, where, out)

    def _one_by_one(
        self, samples: int, form: CallForm, arrays: Mapping[str, np.ndarray], where: Where | None, out: Any
    ) -> Any:
        """Several draws of a graph that makes one at a time."""
        seeds = arrays[SEED] + np.arange(samples, dtype=np.int64) * BETWEEN_SEEDS
        each = [self._run(by_name(*form[:2]), {**arrays, SEED: seed}, where) for seed in map(np.asarray, seeds)]
        stacked = [np.stack([one[name] for one in each]) for name in form.leaves]
        kinds, takes = [(array.shape, array.dtype) for array in stacked], [array.copy for array in stacked]
        given = OutSpec(form.structure, kinds, ("loss",)).checked(out, where)
        writer = ResultWriter(form.structure, stacked, takes)
        return writer.give() if given is None else writer.give_into(given)

    def run_form(self, form: CallForm, feeds: Mapping[str, np.ndarray], seed: int) -> Any:
        """A call of another form, over the same inputs and parameters."""
        calls = self._cache(form[:2])
        if (result := calls.attempt(feeds, {}, seed)) is not None:
            return result
        where = user_line()
        return self._run(form, {**self.gather(feeds, {}, where), **self.counters(seed)}, where, None, calls, feeds)

    def _fed_outputs(self, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
        """The outputs; the loss among them only where its placeholders are fed."""
        outputs = self._names()
        if self.loss is None:
            return outputs
        without = tuple(name for name in outputs if name != "loss")
        extra = [name for name in self.compiled.needed(outputs) if name not in self.compiled.needed(without)]
        return outputs if all(name in arrays for name in extra) else without

    @api
    def check(
        self, feeds: Mapping[Any, Any] | None = None, /, *, seed: int | None = None,
        first_row: int = 0, first_step: int = 0, **named: Any,
    ) -> NonFinite | None:  # fmt: skip
        """Runs the graph slowly, node by node, and says which value first is NaN or infinite; None where none is.

        Where the loss is fed, its gradients with respect to the trainable parameters are checked too. The masks
        are those that a call with the same seed applies. What is found past a row's end may have spoilt nothing:
        compiled code leaves such rows out where it can.
        """
        where = user_line()
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(seed, first_row, first_step))
        outputs, compiled = self._fed_outputs(arrays), self.compiled
        if "loss" in outputs and self._gradients.trainable:
            compiled = self.full_graph()
            outputs += tuple(f"{PREFIX}{name}" for name in compiled.wrt)
        return self._checked(arrays, outputs, where, compiled)

    def gradients(
        self, feeds: Mapping[Any, Any] | None = None, /, *excess: Never, seed: int | None = None,
        wrt: Sequence[str | Tensor] = (), output_gradients: Any = None, first_row: int = 0, first_step: int = 0,
        recompute: RecomputeOption = AUTO, **named: Any,
    ) -> tuple[Any, dict[str, np.ndarray]]:  # fmt: skip
        """(loss, {name: gradient}) of every trainable parameter, and of the float placeholders in ``wrt``, where
        ``"tap:name"`` is a float tap.

        output_gradients: gradients of outputs, by name or in their structure, for a loss that is computed outside;
        what it leaves out counts as zero, a declared loss too. Then the first result is what the call gives.

        recompute: steps that are computed again, a block at a time, in place of all that gradients need being kept of
        every step: the same bits in less memory, for about a third more time. ``"auto"`` does so where temporaries
        would take more than a quarter of the memory that is left; None never.

        The masks are those that a call with the same seed applies. Raises ``GraphError`` with neither a loss nor
        ``output_gradients``, and where a number of steps is given and steps can't be computed again.
        """
        if excess:
            no_more("gradients", excess, self.input_names())
        plain = _are_plain(seed, first_row, first_step)
        calls = self._gradient_calls(wrt, output_gradients, recompute) if plain else None
        together: tuple[Any, Mapping[str, Any]] = feeds, named
        if calls is not None and output_gradients is not None:
            together = self._with_given(output_gradients, feeds, named)
        if calls is not None and (result := calls.attempt(*together, seed)) is not None:
            return cast("tuple[Any, dict[str, np.ndarray]]", result)
        where = user_line()
        again = checked_recompute(recompute, where)
        if output_gradients is None and self.loss is None:
            raise GraphError("gradients need a loss; give one to rg.compile, or output_gradients=", where)
        declared = {} if output_gradients is None else dict(self.compiled.graph.outputs)
        given = given_gradients(self.structure, declared, output_gradients, where)
        states, extra = self._gradients.asked(wrt, where)
        compiled = self._gradients.checked_graph(extra, tuple(given), again, where)
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(seed, first_row, first_step))
        types = compiled.input_types() if given or extra else {}
        if any(name.startswith(TAP) for name in extra):
            arrays.update(self._gradients.zeros_for_taps(compiled, arrays, where))
        for name, gradient in given.items():
            label = OUTPUT_GRADIENT + name
            arrays[label] = convert(f"output_gradients[{name!r}]", gradient, types[label], where)
        values = self._fed_outputs(arrays) if given else ("loss",)
        outputs = *values, *(f"{PREFIX}{name}" for name in compiled.wrt)
        shown = self._form(values) if given else CallForm(compiled, values, None, values)
        leaves = [*shown.leaves, *outputs[len(values) :]]
        form = CallForm(compiled, outputs, (shown.structure, dict.fromkeys(compiled.wrt)), leaves)
        first, gradients = self._run(form, arrays, where, None, None if states else calls, *together)
        for name in states:  # in the structure in which the state was fed
            fed = dict(self.parts.names.given(feeds, named, where))
            parts = {part: gradients.pop(part) for part in names_under(name, compiled.wrt)}
            gradients[name] = gathered(name, fed[name], parts) if name in fed else [*parts.values()]
        return first, gradients

    @api
    def memory(
        self, batch: int = 1, time: int = 1, *, recompute: RecomputeOption = AUTO, **sizes: int
    ) -> MemoryUsage:  # fmt: skip
        """Return the bytes that a call of ``gradients`` needs at these sizes.

        Args:
            batch: Value of every size that is not a length.
            time: Value of every length.
            recompute: As for ``gradients``. None: what a call needs that keeps all residuals.
            sizes: Values of other sizes, by name.
        """
        again = checked_recompute(recompute, user_line())
        compiled = self.full_graph()
        if compiled is not self.compiled:
            compiled = self._gradients.graph(recompute=again)
        return self._memory_of(compiled, batch, time, sizes)

    @api
    def profile(
        self, feeds: Mapping[Any, Any] | None = None, /, seconds: float = 1.0, *, seed: int | None = None, **named: Any
    ) -> Profile:  # fmt: skip
        """What calls with these feeds take, by layer, kernel, pass and line of the script, and what bounds each: those
        of ``gradients`` where the loss is fed, else of the graph.

        seconds: to spend on calls, half of them without counting.
        seed: of the masks; None for 0.
        Raises ``GraphError`` where the program's code does not run here, or the processor has no counter.
        """
        where = user_line()
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(0 if seed is None else seed))
        drawn = int(arrays.get(SEED, 0))
        outputs = self._fed_outputs(arrays)
        if "loss" not in outputs or not self._gradients.trainable:
            return self._profiled(self._form(outputs), arrays, where, seconds, lambda fed: self(fed, seed=drawn))
        compiled = self._gradients.graph()
        outputs = "loss", *(f"{PREFIX}{name}" for name in compiled.wrt)
        form = CallForm(compiled, outputs, (None, dict.fromkeys(compiled.wrt)), outputs)
        return self._profiled(form, arrays, where, seconds, lambda fed: self.gradients(fed, seed=drawn))

    def _gradient_calls(self, wrt: Any, output_gradients: Any, recompute: Any) -> DirectCache | None:
        """Prepared calls that give these gradients; None where ``wrt`` is no list of what can be looked up."""
        key = (tuple(wrt) if type(wrt) is list else wrt), output_gradients is None, recompute, type(recompute)
        try:
            return self._cache(key) if type(key[0]) is tuple else None
        except TypeError:  # what has no hash is no placeholder
            return None

    def _with_given(self, gradients: Any, feeds: Any, named: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """A call's mapping and keywords, joined with the gradients of outputs; where they can't be, an empty tuple, for
        which no call is prepared.
        """
        given = {self.compiled.graph.outputs[0][0]: gradients} if is_leaf(self.structure) else gradients
        together = named if feeds is None else feeds
        if type(given) is not dict or type(together) is not dict:
            return (), {}
        more = {OUTPUT_GRADIENT + str(name): gradient for name, gradient in given.items()}
        if together.keys() & more.keys():
            return (), {}
        return (None, {**named, **more}) if feeds is None else ({**feeds, **more}, named)

    def full_graph(self) -> CompiledGraph:
        """The graph with masks, loss and gradients."""
        return self.compiled if self.loss is None or not self._gradients.trainable else self._gradients.graph()

    def counters(self, seed: int | None, first_row: int = 0, first_step: int = 0) -> dict[str, np.ndarray]:
        """The inputs that masks are drawn from; without a seed the program's generator gives the next."""
        drawn = self.parts.seeds.draw() if seed is None else seed_number(seed)
        wrapped = drawn - 2**64 if drawn >= 2**63 else drawn
        values = {"seed": wrapped, "first_row": first_row, "first_step": first_step}
        for name in ("first_row", "first_step"):
            if not 0 <= whole_number(values[name], name) < 2**32:
                raise ArgumentError(f"{name}={values[name]} is outside 0..2**32-1, what masks are counted in")
        return {name: np.asarray(value, np.int64) for name, value in values.items() if name in self._types}

    @api
    def dropout_masks(
        self,
        feeds: Mapping[Any, Any] | None = None,
        /,
        *,
        seed: int,
        samples: int | None = None,
        first_row: int = 0,
        first_step: int = 0,
        **named: Any,
    ) -> dict[str, np.ndarray]:
        """{site: 0/1 array}: exactly what a call with this seed applies, in the order of declaration.

        A step mask is shaped like the sequence it drops, a variational one [batch, width]; with ``samples`` those of
        each draw, stacked.
        """
        where = user_line()
        seed = seed_number(seed)
        arrays = self.gather(feeds, named, where)
        outputs = tuple(name for name, _ in self._masks.graph.outputs)
        masks = (
            self._masks if samples is None else self._sampled.graph(samples, self._masks, outputs, where) or self._masks
        )
        if not outputs:
            return Result()
        arrays.update(self.counters(seed, first_row, first_step))
        sizes = solve_sizes(arrays, self._types | masks.input_types(), where)
        missing = [name for name in masks.needed(outputs) if name not in arrays]
        unknown = [name for name in masks.graph.symbols if name not in sizes]
        if missing or unknown:
            raise NameLookupError(
                f"dropout_masks needs {', '.join(missing) or 'the placeholders that have sizes ' + ', '.join(unknown)}",
                where,
            )
        masks.check(outputs, arrays, sizes, where)
        entry = masks.entry(outputs, sizes)
        return Result(run_once(entry, entry.weights(self.parts.parameters), arrays, sizes))


def _are_plain(seed: Any, first_row: Any, first_step: Any) -> bool:
    """Whether a seed fits a prepared call, and rows and steps begin at 0."""
    return (
        (seed is None or (type(seed) is int and 0 <= seed < 2**63))
        and type(first_row) is type(first_step) is int
        and first_row == first_step == 0
    )
