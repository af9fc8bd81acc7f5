"""A module's run on tensors without values. Every call of torch's comes to a ``Tracer``, which declares in a script
what it means, and lets torch itself say what shape and dtype it gives.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ....declare.functions.basic import cast, reshape
from ....ir.types import Dim, Size
from ....support.errors import RnnGraphError, Where
from ...expressions import identifier
from ...layers import declare_parameter
from ...rolling.lifting import OF_EACH_ELEMENT
from ...script import Script
from ...steps import Value
from .answers import ANSWERS
from .calls import (
    PlacedModule,
    Warned,
    are_of_weights,
    array_of,
    as_function,
    first_line,
    memory_of,
    name_of,
    user_line_of_module,
    what_failed,
)
from .cuts import AS_THEY_ARE, Cut, CutAxes
from .forwards import whole_forwards
from .making import made, number_of
from .moved_axes import of_elements, operation
from .names import DRAWN, FACTORIES, IGNORED, IN_PLACE, NO_MEANING, NOT_ASKED, OF_STEPS, OWN_INPUT, REFUSED, SAME
from .nests import flat, mapped
from .numbers import Extent, OpenFloat
from .registry import MEANINGS, MODULES, Composed, Meaning, UnreadableError
from .sizes import Sizes
from .states import kept_states
from .tensors import DTYPES, Shape, Traced, is_part
from .values import Filled, Lazy, Packed, Positions, Repeated, Stacked, Unknown, Written, dtype_of, recast, shape_of


class Tracer(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
    """One run of a module.

    root: the module. sizes: facts about open sizes. shared: ids of parameters used more than once, and of recurrent
    modules, from earlier runs. keeps_filled: tensors of one number stay tensors, as initial states of loops do.
    cut_axes: treatment of axes that torch cuts to the longest row; cuts: these axes, in the order of this run. uses:
    how often each was used in this run. must_open: names of sizes that the caller wants open.
    """

    def __init__(
        self, root: torch.nn.Module, sizes: Sizes, shared: frozenset[Any], keeps_filled: bool = False,
        cut_axes: CutAxes = AS_THEY_ARE, must_open: Collection[str] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.cut_axes = cut_axes
        self.cuts: list[Cut] = []
        self.root, self.sizes, self.shared, self.keeps_filled = root, sizes, shared, keeps_filled
        self.script = Script("A net that rnngraph read from a module of torch.")
        self.problems: list[tuple[str, Where | None]] = []
        self.warnings: dict[Warned, None] = {}
        self.uses: dict[Any, int] = {}
        self.plain: set[int] = set()
        """Ids of parameters that were used as tensors."""
        self.cached: dict[Any, Any] = {}
        """Values that are declared once, by what they stand for."""
        self.paths: dict[int, str] = {}
        self.names: dict[int, str] = {}
        for path, found in root.named_modules():
            self.paths.setdefault(id(found), path)
        for path, tensor in [*root.named_parameters(), *root.named_buffers()]:
            self.names.setdefault(id(tensor), path)
        self.running: list[torch.nn.Module] = []
        self.native = 0
        self.expected: Any = None
        """What torch gives for the call that is read: its shape and dtype."""
        self.times: dict[str, None] = {}
        self.wrote_numbers = False  # for tensors of one number, as states are that a loop begins with
        self.has_assumed = False  # values of open size that only a driver gives
        self.must_open = must_open
        self.undecided: list[tuple[Dim, Where | None]] = []
        """Sizes of axes beside another that is open, of which one must be a number, with the line that says so."""
        self.kept: list[Any] = []  # what ids were taken of must not go

    # Running ------------------------------------------------------------------------------------

    def run(self, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        """What the module's forward gives. Raises ``SizesChanged``."""
        call, tracer = torch.nn.Module.__call__, self

        def traced_call(found: torch.nn.Module, *given: Any, **named: Any) -> Any:
            return tracer._module(call, found, given, named)

        transformer = torch.nn.modules.transformer
        causal = transformer._detect_is_causal_mask
        torch.nn.Module.__call__ = traced_call
        transformer._detect_is_causal_mask = lambda mask, is_causal=None, size=None: bool(is_causal)  # by values
        try:
            with torch.no_grad(), kept_states(self.root), whole_forwards(self._meant), self:
                return self.root(*arguments, **keywords)
        finally:
            torch.nn.Module.__call__ = call
            transformer._detect_is_causal_mask = causal

    def _module(self, call: Any, found: torch.nn.Module, given: Any, named: Any) -> Any:
        found = getattr(found, "_orig_mod", found)  # what torch.compile would compile
        self.running.append(found)
        try:
            is_made = torch.nn.utils.parametrize.is_parametrized(found)  # of a class that has the module's behind it
            whole = MODULES.get(type(found).__mro__[1] if is_made else type(found))
            if isinstance(found, torch.nn.utils.parametrize.ParametrizationList):
                self.native += 1
                try:
                    return call(found, *given, **named)
                finally:
                    self.native -= 1
            if whole is None or not are_of_weights(found._forward_pre_hooks) or found._forward_hooks:
                return call(found, *given, **named)
            with torch._C.DisableTorchFunction():
                for hook in found._forward_pre_hooks.values():
                    hook(found, given)
                bound = inspect.signature(found.forward).bind(*given, **named)
                return self._meant(type(found).__name__, whole, found, bound.args, bound.kwargs)
        finally:
            self.running.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func, args, named = as_function(func, args, dict(kwargs or {}))
        name = SAME.get(found := name_of(func), found)
        if self.native or name == "_weight_norm" or not any(map(self._concerns, flat((args, named)))):
            if name in DRAWN and not self.native:  # else one drawing of numbers would be what the net always has
                self.problem(f"{name}: {REFUSED[name]}")
            return func(*args, **named)
        if name in ANSWERS:
            return ANSWERS[name](self, *args, **named)
        for theirs in ("input", "self"):
            if theirs in named and name not in OWN_INPUT:
                args = (named.pop(theirs), *args)
        if name == "__setitem__" and is_part(args[2], args[0], args[1]):
            return None  # of ``x[i] += y``, which has been written already
        out = named.pop("out", None)
        if name in IN_PLACE or (name.endswith("_") and not name.startswith("__")):
            plain = IN_PLACE.get(name, name.rstrip("_"))
            result = self._meant(name, MEANINGS.get(name) or MEANINGS.get(plain), func, args, named)
            return self._written_over(args[0], result)
        result = self._meant(name, MEANINGS.get(name), func, args, named)
        return result if out is None else self._written_over(out, result)

    def _concerns(self, item: Any) -> bool:
        return isinstance(item, Traced | Extent | OpenFloat | torch.nn.Parameter)

    def _written_over(self, target: Any, result: Any) -> Any:
        if isinstance(target, Traced) and isinstance(result, Traced):
            if target.shape != result.shape:
                target.data = torch.empty(result.shape, dtype=target.dtype, device="meta")
            target.write(result.value, user_line_of_module())
            self._write_through(target)
        elif isinstance(target, torch.Tensor) and isinstance(result, Traced):
            self.problem("a tensor of the module is changed in place; make a new one")
        elif not isinstance(target, torch.Tensor):
            self.problem("results are written into several tensors by out=; take what the call gives")
        return target

    def _write_through(self, part: Traced) -> None:
        """Writes a part that was written to into the tensors that it is a part of."""
        while part.origin is not None:
            whole, index = part.origin
            if whole.writes != part.writes - 1:
                return  # it was changed in another way, too, and is refused where it is read
            whole.writes = part.writes
            whole.value = self._meant("__setitem__", MEANINGS["__setitem__"], None, (whole, index, part), {}).value
            part = whole

    def _read_again(self, part: Traced) -> None:
        """Reads a part anew of a tensor that was written to."""
        if part.origin is not None:
            whole, index = part.origin
            if whole.is_overwritten:
                self._read_again(whole)
            part.value = self._meant(
                "__getitem__", MEANINGS["__getitem__"], torch.Tensor.__getitem__, (whole, index), {}
            ).value
            part.writes = part.memory.writes
            return
        at = f" at {part.memory.where}" if part.memory.where else ""
        raise UnreadableError(
            f"a tensor is read that was changed in place through a view of it{at}; make a new one, as in y = y + 1"
        )

    def _meant(self, name: str, means: Meaning | Composed | None, what: Any, args: Any, named: Any) -> Any:
        """What a call gives. Where it can't be read, something unknown stands for it."""
        is_module = isinstance(what, torch.nn.Module)
        try:
            expected = None if is_module or name in NOT_ASKED else self._as_torch_has_it(what, args, named)
            if means is None:
                raise UnreadableError(f"{name}: {REFUSED[name]}" if name in REFUSED else f"{name} {NO_MEANING}")
            if any(isinstance(item, Traced) and isinstance(item.value, Unknown) for item in flat((args, named))):
                return self._unknown(self._guessed(what, args, named) if is_module else expected, args, named)
            if not is_module:
                named = {key: item for key, item in named.items() if key not in IGNORED}
                self.expected = expected
            if isinstance(means, Composed):
                return self._composed(means, expected, args, named)
            given = [self.bare(item) for item in ((what, *args) if is_module else args)]
            named = {key: self.bare(item) for key, item in named.items()}
            packed = next((item for item in given if isinstance(item, Packed)), None)
            if packed is not None and name in OF_STEPS:
                result = self._of_steps(means, packed, given, named)
            else:
                result = means(self, *given, **named)
            return self._shared(name, self._wrapped(result, expected), expected, args, named)
        except UnreadableError as error:
            self.problem(f"{name}: {error}" if means is not None else str(error))
        except RnnGraphError as error:
            self.problem(f"{name}: {error.what}")
        except NotImplementedError:
            self.problem(f"{name}: how large its result is hangs on values; use torch.where, which keeps the size")
        except (RuntimeError, IndexError) as error:
            if not str(error):
                raise
            self.problem(f"{name}: {what_failed(error)}")
        except TypeError as error:
            if "unexpected keyword argument" not in str(error) and "positional argument" not in str(error):
                raise
            self.problem(f"{name} with arguments that are not read: {first_line(error)}")
        return self._unknown(self._guessed(what, args, named), args, named)

    def _composed(self, means: Composed, expected: Any, args: Any, named: Any) -> Any:
        """What the functions give that a function is made of."""
        with self:
            found = means.function(*args, **named)
        for ours, theirs in zip(flat(found), flat(expected), strict=False):
            if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor) and ours.shape != theirs.shape:
                raise UnreadableError(f"it gives {list(theirs.shape)} in torch and {list(ours.shape)} here")
        if isinstance(found, Traced) and isinstance(expected, torch.Tensor) and found.dtype != expected.dtype:
            return self.traced(self.cast(self.bare(found), DTYPES[expected.dtype]))
        return type(expected)(found) if isinstance(found, tuple) and isinstance(expected, tuple) else found

    def by_torch(self, function: Any, *given: Any) -> Any:
        """What a function that is written with torch's own gives, of values."""
        with self:
            found = function(*(self.traced(item) if isinstance(item, Value | Lazy) else item for item in given))
        return mapped(found, self.bare)

    def _guessed(self, what: Any, args: Any, named: Any) -> Any:
        """The result as torch has it, if it has one, so that what comes after can be read on."""
        try:
            func = copy.deepcopy(what).to("meta").forward if isinstance(what, torch.nn.Module) else what
            return self._as_torch_has_it(func, args, named)
        except (RuntimeError, IndexError, TypeError, ValueError, AttributeError):  # of what can't be read: it is noted
            return None

    def _as_torch_has_it(self, func: Any, args: Any, named: Any) -> Any:
        """The result as tensors without values."""

        def plain(item: Any) -> Any:
            if isinstance(item, Traced):
                return item.as_subclass(torch.Tensor)
            if isinstance(item, torch.Tensor):
                return item.detach().to("meta")
            return torch.device("meta") if isinstance(item, torch.device) or item in ("cpu", "cuda") else item

        args, named = mapped(args, plain), mapped(named, plain)
        if "device" in named or name_of(func) in FACTORIES:
            named = {**named, "device": "meta"}
        return args[0] if name_of(func) in ("cpu", "cuda") else func(*args, **named)

    def _of_steps(self, means: Meaning, packed: Packed, args: Any, named: Any) -> Packed:
        """What a function of single steps gives of the steps of a packed sequence."""
        rows = self.value(means(self, *(packed.of if item is packed else item for item in args), **named))
        shape = (packed.shape[0], *shape_of(rows)[2:])
        return Packed(rows, packed.lengths, packed.batch_first, packed.is_sorted, shape, dtype_of(rows))

    def _unknown(self, expected: Any, args: Any, named: Any) -> Any:
        first = next((item for item in flat((args, named)) if isinstance(item, torch.Tensor)), None)
        expected = first if expected is None else expected

        def unknown(item: Any) -> Any:
            if not isinstance(item, torch.Tensor):
                return item
            plain = torch.empty(item.shape, dtype=item.dtype, device="meta")
            return Traced.of(Unknown(tuple(item.shape), "float32"), plain)

        return mapped(expected, unknown)

    def _wrapped(self, result: Any, expected: Any) -> Any:
        """What a meaning gave, as the module's code sees it."""
        if isinstance(result, Value) and isinstance(result.thing, list | tuple):
            result = list(result)
        if isinstance(result, Value | Lazy):
            return self.traced(result, expected if isinstance(expected, torch.Tensor) else None)
        if isinstance(result, list | tuple) and not isinstance(result, Shape):
            alike = isinstance(expected, list | tuple) and len(expected) == len(result)
            parts = [self._wrapped(item, expected[n] if alike else None) for n, item in enumerate(result)]
            if alike and hasattr(expected, "_fields"):
                return type(expected)(*parts)
            if alike and isinstance(expected, tuple) and type(expected) is not tuple:
                return type(expected)(parts)
            return tuple.__new__(type(result), parts) if isinstance(result, tuple) else parts
        return result

    def _shared(self, name: str, result: Any, expected: Any, args: Any, named: Any) -> Any:
        """The result, which knows what it is a view of, as torch has it."""
        owners = {memory_of(item): item for item in flat((args, named)) if isinstance(item, Traced)}
        for ours, theirs in zip(flat(result), flat(expected), strict=False):
            if isinstance(ours, Traced) and isinstance(theirs, torch.Tensor) and memory_of(theirs) in owners:
                ours.share(owners[memory_of(theirs)])
        if name == "__getitem__" and isinstance(result, Traced) and result.memory is getattr(args[0], "memory", None):
            result.origin = args[0], args[1]
        return result

    def traced(self, value: Value | Lazy, expected: torch.Tensor | None = None) -> Traced:
        """A value as a tensor of the module's. expected: as torch has it."""
        shape = tuple(map(self.sizes.value, shape_of(value)))
        dtype = next(theirs for theirs, ours in DTYPES.items() if ours == dtype_of(value))
        if expected is not None and (tuple(expected.shape), expected.dtype) != (shape, dtype):
            if tuple(expected.shape) != shape:
                raise UnreadableError(f"it gives {list(expected.shape)} in torch and {list(shape)} here")
            value, dtype = self.cast(value, DTYPES[expected.dtype]), expected.dtype
        return Traced.of(value, torch.empty(shape, dtype=dtype, device="meta"))

    # Operands -----------------------------------------------------------------------------------

    def bare(self, item: Any) -> Any:
        """An argument as meanings take it: values, numbers, sizes."""
        if isinstance(item, Traced):
            if item.is_overwritten:
                self._read_again(item)
            return item.value
        is_number = isinstance(item, torch.Tensor) and not item.ndim and not isinstance(item, torch.nn.Parameter)
        if is_number or isinstance(item, np.generic):
            return item.item()
        return mapped(item, self.bare) if type(item) in (list, tuple, dict, slice, Shape, torch.Size) else item

    def value(self, item: Any, dtype: str | None = None) -> Value:
        """An operand as a value of the script."""
        if isinstance(item, torch.Tensor):
            item = self.parameter(item)
        if isinstance(item, Filled | Positions | Repeated | Stacked | Written):
            item = self._made(item)
        if not isinstance(item, Value):
            raise UnreadableError(f"{type(item).__name__.lower()} values are not read here")
        return self.cast(item, dtype) if dtype else item

    def is_number(self, item: object) -> TypeGuard[Filled]:
        """Whether it is one number everywhere and may be written as that number."""
        is_state = isinstance(item, Filled) and item.dtype.startswith("float") and len(item.shape) > 1
        self.wrote_numbers |= is_state
        return isinstance(item, Filled) and not (is_state and self.keeps_filled)

    def number(self, number: Any, dtype: str) -> Any:
        """A size as a number that a call computes, or what code computes of sizes."""
        return number_of(self, number, dtype)

    def leave_undecided(self, dims: Sequence[Dim]) -> None:
        """Note that all but one of these sizes must be numbers: the last, unless the caller wants it open."""
        wanted = [dim for dim in dims if isinstance(dim, Size) and not dim.symbols.isdisjoint(self.must_open)]
        rest = [dim for dim in dims if dim not in wanted]
        self.undecided.append(((rest or [*dims])[-1], self.sizes.place()))

    def on_time(self, dim: Dim) -> None:
        """Notes that a size is one of time."""
        if isinstance(dim, Size) and dim.symbol:
            self.times.setdefault(dim.symbol)

    def name_of(self, dim: Dim) -> str:
        """The name of an open size, as inputs have it."""
        return str(dim)

    def call(self, function: Any, *operands: Any, **keywords: Any) -> Value:
        """``function(*operands, **keywords)``, of each element before axes are moved or added, so that a later call may
        take that back.
        """
        if function in OF_EACH_ELEMENT and not any(isinstance(item, Value) for item in operands[1:]):
            return of_elements(self.script, function, *operands, **keywords)
        return self.script.call(function, *operands, **keywords)

    def operation(self, sign: str, a: Any, b: Any) -> Value:
        """``a sign b``, before axes are moved or added where both would be alike."""
        return operation(self.script, sign, a, b)

    def cast(self, value: Any, dtype: str) -> Any:
        if dtype_of(value) == dtype:
            return value
        lazy = recast(value, dtype, self.cast)
        return self.call(cast, self.value(value), dtype) if lazy is None else lazy

    def _made(self, lazy: Filled | Positions | Repeated | Stacked | Written) -> Value:
        key: Any = ("made", id(lazy))
        if isinstance(lazy, Filled):  # of which two are one, so that states begin before the first step
            key = ("filled", str(lazy.number), lazy.shape, lazy.dtype)
        if key not in self.cached:
            self.kept.append(lazy)
            found = made(self, lazy)
            if isinstance(lazy, Filled):
                found.step.fill = float(lazy.number)
            self.cached[key] = found
        return self.cached[key]

    # Parameters ---------------------------------------------------------------------------------

    def use(self, thing: Any) -> bool:
        """Notes a use of a parameter or module as a layer's own, and says whether it has other uses."""
        key = id(thing)
        self.kept.append(thing)
        self.uses[key] = self.uses.get(key, 0) + 1
        return key in self.shared or ("plain", key) in self.shared

    def path_of(self, tensor: Any, otherwise: str = "weight") -> str:
        """A parameter's name in the module, with slashes; of one that was computed the module's it is used in."""
        known = self.names.get(id(tensor))
        if known is None:
            inside = self.paths.get(id(self.running[-1]), "") if self.running else ""
            known = f"{inside}.{otherwise}" if inside else otherwise
        return known.replace(".", "/")

    def parameter(self, tensor: torch.Tensor, otherwise: str = "weight") -> Value:
        """A parameter, buffer or constant of the module, in torch's own layout."""
        key = "parameter", id(tensor)
        self.plain.add(id(tensor))
        if key not in self.cached:
            self.kept.append(tensor)
            path = self.path_of(tensor, otherwise)
            trained = isinstance(tensor, torch.nn.Parameter) or tensor.requires_grad
            found = self.declared(path, array_of(tensor), trained)
            self.cached[key] = found if tensor.dim() else self.call(reshape, found, ())
        return self.cached[key]

    def declared(self, path: str, array: np.ndarray, trainable: bool = True) -> Value:
        """A parameter that stands by itself."""
        return declare_parameter(self.script, path, np.atleast_1d(array), identifier(path), trainable=trainable)

    # Errors -------------------------------------------------------------------------------------

    def problem(self, what: str) -> None:
        """Notes what can't be read."""
        where, inside = user_line_of_module(), self.paths.get(id(self.running[-1]), "") if self.running else ""
        if isinstance(self.root, PlacedModule):
            where, inside = self.root.place()
        at = f" ({inside})" if inside else ""
        self.problems.append((f"{where}: {what}{at}" if where else f"{what}{at}", where))
