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
from ..runtime.calls.outputs import OutSpec, checked_gradients
from ..runtime.calls.prepared_call import SEED
from ..runtime.calls.results import Result, ResultT, ResultWriter
from ..runtime.graph_source import TAPS_TRAINING
from ..runtime.native.compiled_graph import CompiledGraph
from ..runtime.native.recompute_option import AUTO, RecomputeOption, checked_recompute
from ..support.api_guard import api, no_more
from ..support.arguments import seed_number, whole_number
from ..support.errors import ArgumentError, GraphError, NameLookupError, Where, user_line
from .callable_graph import CallableGraph
from .gradients import GradientGraphs, require_loss
from .parts import CallForm, ProgramParts, by_name
from .sampled_graphs import SampledGraphs

if TYPE_CHECKING:
    from ..inspection.profile.profile import Profile
    from ..runtime.calls.non_finite import NonFinite
    from .reports.memory_report import MemoryUsage


class TrainingGraph(CallableGraph[ResultT]):
    """The training graph: with masks drawn from a seed, and the loss if its placeholders are fed."""

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
                    f"feed {name} is {float(arrays[name]):g}, outside (0, 1]; it is the probability of keeping a "
                    "unit, and 1.0 keeps all",
                    where,
                )
        return arrays

    def __call__(
        self,
        feeds: Mapping[Any, Any] | ArrayLike | None = None,
        /,
        *excess: Never,
        seed: int | None = None,
        out: Any = None,
        samples: int | None = None,
        first_row: int = 0,
        first_step: int = 0,
        **named: Any,
    ) -> ResultT:
        """Run the graph with dropout. The same seed gives the same masks, bit for bit.

        Args:
            feeds: {placeholder or its name: value}, or one value for the only input that no keyword feeds.
            seed: An int; by default the next one from the program's generator.
            out: Arrays by output name, which receive the results.
            samples: Number of draws, stacked on a new first axis of every result, including the loss. Draw k has the
                masks of ``seed=seed + k * 2**32`` (modulo 2**64). Values that depend on no mask are computed once.
            first_row: Index of the call's first row in a larger batch, so that its parts draw the masks of the whole.
            first_step: Index of the call's first step in a longer sequence, likewise.
            **named: Values by name.
        """
        if excess:
            no_more("training", excess, self.input_names())
        if feeds is not None and type(feeds) is not dict and not isinstance(feeds, Mapping):
            feeds, named = None, self.parts.names.with_input(feeds, named, user_line())
        plain = samples is None and _are_plain(seed, first_row, first_step)
        if plain and (result := self._calls.attempt(feeds, named, seed, out)) is not None:
            return cast("ResultT", result)
        where = user_line()
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(seed, first_row, first_step))
        form = self._form(self._fed_outputs(arrays))
        if samples is not None:
            return cast("ResultT", self._drawn(samples, form, arrays, where, out))
        return cast("ResultT", self._run(form, arrays, where, out, self._calls, feeds if plain else (), named))

    @api
    def taps(
        self,
        feeds: Mapping[Any, Any] | None = None,
        /,
        *,
        seed: int | None = None,
        samples: int | None = None,
        first_row: int = 0,
        first_step: int = 0,
        **named: Any,
    ) -> dict[str, np.ndarray]:
        """Return {name: array} of all values named by ``rg.tap``, in order of declaration.

        The values are those of a call with the same arguments. Taps on which only the loss depends are omitted if the
        loss is not fed.

        Args:
            feeds: As for a call.
            seed: As for a call.
            samples: As for a call; taps are stacked.
            first_row: As for a call.
            first_step: As for a call.
            **named: As for a call.
        """
        where = user_line()
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(seed, first_row, first_step))
        return self._tap_values(arrays, lambda form: self._drawn(samples, form, arrays, where))

    def _drawn(
        self,
        samples: int | None,
        form: CallForm,
        arrays: Mapping[str, np.ndarray],
        where: Where | None,
        out: Any = None,
    ) -> Any:
        """Return the results of ``samples`` draws, stacked along a new first axis; for None, those of one draw."""
        if samples is None:
            return self._run(form, arrays, where, out)
        together = self._sampled.graph(samples, form.compiled, form.outputs, where)
        if together is not None:
            return self._run(form._replace(compiled=together), arrays, where, out)
        return self._one_by_one(samples, form, arrays, where, out)

    def _one_by_one(
        self, samples: int, form: CallForm, arrays: Mapping[str, np.ndarray], where: Where | None, out: Any
    ) -> Any:
        """Run several draws one after the other."""
        seeds = arrays[SEED] + np.arange(samples, dtype=np.int64) * BETWEEN_SEEDS
        each = [self._run(by_name(*form[:2]), {**arrays, SEED: seed}, where) for seed in map(np.asarray, seeds)]
        stacked = [np.stack([one[name] for one in each]) for name in form.leaves]
        kinds, takes = [(array.shape, array.dtype) for array in stacked], [array.copy for array in stacked]
        out_arrays = OutSpec(form.structure, kinds, self._loss_names).checked(out, where)
        writer = ResultWriter(form.structure, stacked, takes)
        return writer.give() if out_arrays is None else writer.fill_into(out_arrays)

    def run_form(self, form: CallForm, feeds: Mapping[str, np.ndarray], seed: int) -> Any:
        """Run a form other than the plain call, over the same inputs and parameters."""
        calls = self._cache(form[:2])
        if (result := calls.attempt(feeds, {}, seed)) is not None:
            return result
        where = user_line()
        return self._run(form, {**self.gather(feeds, {}, where), **self.counters(seed)}, where, None, calls, feeds)

    def _fed_outputs(self, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
        """Return the names of the outputs that these feeds suffice for: all, or all but the loss."""
        outputs = self._names()
        if self.loss is None:
            return outputs
        without = tuple(name for name in outputs if name != "loss")
        extra = [name for name in self.compiled.needed(outputs) if name not in self.compiled.needed(without)]
        return outputs if all(name in arrays for name in extra) else without

    @api
    def check(
        self,
        feeds: Mapping[Any, Any] | None = None,
        /,
        *,
        seed: int | None = None,
        first_row: int = 0,
        first_step: int = 0,
        **named: Any,
    ) -> NonFinite | None:
        """Run the graph in the interpreter, and return the first NaN or infinite value; None if there is none.

        If the loss is fed, its gradients are checked, too. Infinite constants count only if they lead to NaN, or reach
        the loss or a gradient. A NaN beyond a row's end may be harmless, as compiled code skips these steps.

        Args:
            feeds: As for a call.
            seed: As for a call.
            first_row: As for a call.
            first_step: As for a call.
            **named: As for a call.
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
        self,
        feeds: Mapping[Any, Any] | None = None,
        /,
        *excess: Never,
        seed: int | None = None,
        wrt: Sequence[str | Tensor] = (),
        output_gradients: Any = None,
        first_row: int = 0,
        first_step: int = 0,
        recompute: RecomputeOption = AUTO,
        **named: Any,
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """Return (loss, {name: gradient}) for every trainable parameter.

        Args:
            feeds: As for a call.
            seed: As for a call.
            wrt: Float placeholders, or ``"tap:name"`` of float taps, whose gradients are returned, too.
            output_gradients: Gradients of outputs, by name or in their structure, for a loss that is computed outside.
                Missing gradients are zero, also for a declared loss. The first result is then the call's result.
            first_row: As for a call.
            first_step: As for a call.
            recompute: Number of steps in a block whose residuals are recomputed instead of saved: the same bits in
                less memory, for about a third more time. ``"auto"`` recomputes if temporaries would exceed a quarter
                of the free memory and recomputing halves them, and None never.
            **named: As for a call.

        Raises:
            GraphError: There is neither a loss nor ``output_gradients``, or steps cannot be rematerialised.
        """
        if excess:
            no_more("gradients", excess, self.input_names())
        plain = _are_plain(seed, first_row, first_step)
        calls = self._gradient_calls(wrt, output_gradients, recompute) if plain else None
        together: tuple[Any, Mapping[str, Any]] = feeds, named
        if calls is not None and output_gradients is not None:
            together = self._with_output_gradients(output_gradients, feeds, named)
        if calls is not None and (result := calls.attempt(*together, seed)) is not None:
            return cast("tuple[Any, dict[str, np.ndarray]]", result)
        where = user_line()
        policy = checked_recompute(recompute, where)
        if output_gradients is None and self.loss is None:
            raise GraphError("gradients need a loss; give one to rg.compile, or output_gradients=", where)
        declared = {} if output_gradients is None else dict(self.compiled.graph.outputs)
        adjoints = checked_gradients(self.structure, declared, output_gradients, where)
        states, extra = self._gradients.selected_placeholders(wrt, where)
        compiled = self._gradients.checked_graph(extra, tuple(adjoints), policy, where)
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(seed, first_row, first_step))
        types = compiled.input_types() if adjoints or extra else {}
        if any(name.startswith(TAP) for name in extra):
            arrays.update(self._gradients.zeros_for_taps(compiled, arrays, where))
        for name, gradient in adjoints.items():
            label = OUTPUT_GRADIENT + name
            arrays[label] = convert(f"output_gradients[{name!r}]", gradient, types[label], where)
        values = self._fed_outputs(arrays) if adjoints else ("loss",)
        outputs = *values, *(f"{PREFIX}{name}" for name in compiled.wrt)
        shown = self._form(values) if adjoints else CallForm(compiled, values, None, values)
        leaves = [*shown.leaves, *outputs[len(values) :]]
        form = CallForm(compiled, outputs, (shown.structure, dict.fromkeys(compiled.wrt)), leaves)
        first, gradients = self._run(form, arrays, where, None, None if states else calls, *together)
        for name in states:  # in the structure in which the state was fed
            fed = dict(self.parts.names.pairs(feeds, named, where))
            parts = {part: gradients.pop(part) for part in names_under(name, compiled.wrt)}
            gradients[name] = gathered(name, fed[name], parts) if name in fed else [*parts.values()]
        return first, gradients

    @api
    def memory(  # type: ignore[override]  # no size is named wrt
        self,
        batch: int = 1,
        time: int = 1,
        *,
        wrt: Sequence[str | Tensor] = (),
        recompute: RecomputeOption = AUTO,
        **sizes: int,
    ) -> MemoryUsage:
        """Return the bytes that a call of ``gradients`` needs at these sizes; without gradients, of a plain call.

        Args:
            batch: Value of every size that is not a length.
            time: Value of every length.
            wrt: Float placeholders and taps, as for ``gradients``.
            recompute: As for ``gradients``. By default, the call saves all residuals but matrix states.
            sizes: Values of other sizes, by name.
        """
        where = user_line()
        policy = checked_recompute(recompute, where)
        _, extra = self._gradients.selected_placeholders(wrt, where)
        compiled = self.full_graph()
        if extra:
            require_loss(self.loss is not None, where)
            compiled = self._gradients.checked_graph(extra, (), policy, where)
        elif compiled is not self.compiled:
            compiled = self._gradients.graph(recompute=policy)
        return self._memory_of(compiled, batch, time, sizes)

    @api
    def profile(
        self,
        feeds: Mapping[Any, Any] | None = None,
        /,
        seconds: float = 1.0,
        *,
        seed: int | None = None,
        wrt: Sequence[str | Tensor] = (),
        **named: Any,
    ) -> Profile:
        """Measure calls with these feeds, by layer, kernel, pass and line of the script, with the bottleneck of each.

        The calls are those of ``gradients`` if the loss is fed, else of the graph.

        Args:
            feeds: As for a call.
            seconds: Seconds to spend on calls, half of them without counters.
            seed: Seed of the masks; None: 0.
            wrt: Float placeholders whose gradients are measured, too, as for ``gradients``.
            **named: As for a call.

        Raises:
            ArgumentError: A placeholder in ``wrt`` has no gradient.
            GraphError: The code does not run on this machine, which lacks a cycle counter, or ``wrt`` needs the loss.
        """
        where = user_line()
        arrays = self.gather(feeds, named, where)
        arrays.update(self.counters(0 if seed is None else seed))
        drawn = int(arrays.get(SEED, 0))
        outputs = self._fed_outputs(arrays)
        _, extra = self._gradients.selected_placeholders(wrt, where)
        if any(name.startswith(TAP) for name in extra):
            raise ArgumentError("profile can't time gradients with respect to taps; give wrt= placeholders only", where)
        require_loss("loss" in outputs or not extra, where)
        if "loss" not in outputs or not (self._gradients.trainable or extra):
            return self._profiled(self._form(outputs), arrays, where, seconds, lambda fed: self(fed, seed=drawn))
        compiled = self._gradients.checked_graph(extra, (), AUTO, where)
        outputs = "loss", *(f"{PREFIX}{name}" for name in compiled.wrt)
        form = CallForm(compiled, outputs, (None, dict.fromkeys(compiled.wrt)), outputs)
        return self._profiled(form, arrays, where, seconds, lambda fed: self.gradients(fed, seed=drawn, wrt=wrt))

    def _gradient_calls(self, wrt: Any, output_gradients: Any, recompute: Any) -> DirectCache | None:
        """Return prepared calls of these gradients; None if ``wrt`` is neither a list nor a tuple, or not hashable."""
        key = (tuple(wrt) if type(wrt) is list else wrt), output_gradients is None, recompute, type(recompute)
        try:
            return self._cache(key) if type(key[0]) is tuple else None
        except TypeError:  # an unhashable object is not a placeholder
            return None

    def _with_output_gradients(
        self, gradients: Any, feeds: Any, named: Mapping[str, Any]
    ) -> tuple[Any, Mapping[str, Any]]:
        """Return (feeds, named feeds) of a call, merged with gradients of outputs.

        If no prepared call can accept them, return ((), {}).
        """
        gradients_by_name = {self.compiled.graph.outputs[0][0]: gradients} if is_leaf(self.structure) else gradients
        together = named if feeds is None else feeds
        if type(gradients_by_name) is not dict or type(together) is not dict:
            return (), {}
        more = {OUTPUT_GRADIENT + str(name): gradient for name, gradient in gradients_by_name.items()}
        if together.keys() & more.keys():
            return (), {}
        return (None, {**named, **more}) if feeds is None else ({**feeds, **more}, named)

    def _require_parameters(self) -> None:
        self.parts.parameters.check_kept()

    def full_graph(self) -> CompiledGraph:
        """Return the graph with masks, loss and gradients."""
        return self.compiled if self.loss is None or not self._gradients.trainable else self._gradients.graph()

    def counters(self, seed: int | None, first_row: int = 0, first_step: int = 0) -> dict[str, np.ndarray]:
        """Return this graph's inputs from which masks are drawn: seed (None: the next one), first row, first step."""
        drawn = self.parts.seeds.draw() if seed is None else seed_number(seed)
        wrapped = drawn - 2**64 if drawn >= 2**63 else drawn
        values = {"seed": wrapped, "first_row": first_row, "first_step": first_step}
        for name in ("first_row", "first_step"):
            if not 0 <= whole_number(values[name], name) < 2**32:
                raise ArgumentError(f"{name}={values[name]} is outside 0..2**32-1; give a number of this range")
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
        """Return {site: 0/1 array}: the masks of a call with this seed, in order of declaration.

        A mask of all steps has the shape of its sequence, and a variational one is [batch, width].

        Args:
            feeds: As for a call.
            seed: As for a call.
            samples: As for a call; masks are stacked.
            first_row: As for a call.
            first_step: As for a call.
            **named: As for a call.

        Raises:
            NameLookupError: A feed that determines a size is missing.
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
            needed = ", ".join(missing) or f"a feed with the sizes {', '.join(unknown)}"
            pronoun = "it" if len(missing) < 2 else "them"
            raise NameLookupError(f"dropout_masks needs {needed}; feed {pronoun} by name", where)
        masks.check(outputs, arrays, sizes, where)
        entry = masks.entry(outputs, sizes)
        return Result(run_once(entry, entry.weights(self.parts.parameters), arrays, sizes))


def _are_plain(seed: Any, first_row: Any, first_step: Any) -> bool:
    """True if a seed fits a prepared call, and rows and steps start at 0."""
    return (
        (seed is None or (type(seed) is int and 0 <= seed < 2**63))
        and type(first_row) is type(first_step) is int
        and first_row == first_step == 0
    )
