"""``Tracer``: runs a module on tensors without values, and declares each call of a torch function in a script.

torch itself computes the shapes and dtypes of the results.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ....declare.functions.basic import cast, reshape
from ....ir.types import Dim, Size
from ....support.errors import RnnGraphError, Where, read_from, user_line
from ...expressions import identifier
from ...layers import declare_parameter
from ...rolling.elementwise import ELEMENTWISE
from ...script import Script
from ...steps import Value
from .branches import Branches
from .calls import (
    PlacedModule,
    Warned,
    array_of,
    as_function,
    by_position,
    compute_weights,
    first_line,
    memory_of,
    name_of,
    user_frame,
    user_line_of_module,
    what_failed,
)
from .cuts import UNCHECKED, Cut, CutAxes
from .kinds import Arguments, Function, Keywords
from .materialize import materialized, rounded, rounded_numbers
from .meta_results import check_shape, guessed_result, meta_result, unknown_result
from .moved_axes import elementwise, operation
from .names import ALIASES, DRAWN, IGNORED, IN_PLACE, MOVES, NEEDS_VALUES, NOT_READ, REFUSED, STEPWISE
from .numbers import Extent, OpenFloat
from .patches import kept_states, whole_forwards
from .python_results import PYTHON_RESULTS
from .registry import HANDLERS, MODULE_HANDLERS, Composed, Handler, UnreadableError
from .sizes import Sizes
from .tensors import (
    DTYPES,
    TORCH_DTYPES,
    VIEWS,
    Shape,
    Traced,
    flat,
    is_part,
    is_rounded,
    mapped,
    refresh,
    view_of,
    write,
)
from .values import NOT_VALUES, Computable, Filled, Lazy, Packed, Unknown, dtype_of, has_rows, recast, shape_of


class Tracer(TorchFunctionMode):  # type: ignore[misc, unused-ignore]  # without torch installed its base is Any
    """Run of a module under a ``TorchFunctionMode``, which intercepts all calls of torch functions."""

    def __init__(
        self,
        root: torch.nn.Module,
        sizes: Sizes,
        shared: frozenset[Hashable],
        keeps_filled: bool = False,
        cut_axes: CutAxes = UNCHECKED,
        must_open: Collection[str] = (),
        branches: Branches | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            root: The module.
            sizes: Known equalities and limits of symbolic sizes.
            shared: Keys in ``uses`` of parameters and modules that an earlier run used more than once.
            keeps_filled: True to declare constant states as tensors instead of numbers, as loops need them.
            cut_axes: Treatment of axes that torch cuts to the longest row.
            must_open: Names of sizes that the caller requests as symbolic.
            branches: Functions of the module that were rewritten, because they branch on values.
        """
        super().__init__()
        self.cut_axes, self.must_open = cut_axes, must_open
        self.cuts: list[Cut] = []
        """Axes that torch cuts, in the order of the calls."""
        self.root, self.sizes, self.shared, self.keeps_filled = root, sizes, shared, keeps_filled
        self.script = Script("A net that rnngraph read from a module of torch.")
        self.problems: list[tuple[str, Where | None]] = []
        self.warnings: dict[Warned, None] = {}
        self.uses: dict[Hashable, int] = {}
        """Number of uses of each parameter and module, by id or by another key that identifies it."""
        self.plain: set[int] = set()
        """Ids of parameters that were used outside of layers, as operands of other functions."""
        self.cached: dict[Hashable, Value] = {}
        """Values that are declared only once, such as materialized lazy values, by key."""
        self.cut_sizes: dict[tuple[int, int], str] = {}
        """Names of cut axes' sizes, by (id of the lengths, number of steps)."""
        self.kernels: dict[Hashable, tuple[Value, Value | None]] = {}
        """(kernel, bias) of projections with several uses, by a key of the projection."""
        self.layer_arrays: dict[Hashable, dict[str, np.ndarray]] = {}
        """Arrays of recurrent layers and cells, by module, then by suffix of the name."""
        self.paths: dict[int, str] = {}
        """Paths of modules, by id."""
        self.names: dict[int, str] = {}
        """Paths of parameters and buffers, by id."""
        for path, module in root.named_modules():
            self.paths.setdefault(id(module), path)
        for path, tensor in [*root.named_parameters(), *root.named_buffers()]:
            self.names.setdefault(id(tensor), path)
        self.running: list[torch.nn.Module] = []
        """The modules whose calls are running, outermost first."""
        self.native = 0
        """Positive while calls are not intercepted, because torch itself computes values, as in a parametrization."""
        self.expected: Any = None
        """torch's result of the current call on ``meta``, which has the shape and dtype of the result."""
        self.times: dict[str, None] = {}
        """Names of sizes that are numbers of time steps."""
        self.scanned: set[str] = set()
        """Names of sizes on which the number of steps of a recurrence depends."""
        self.wrote_numbers = False
        """True if a constant tensor that may be a loop's initial state was written as a number."""
        self.branches = (branches or Branches()).reporting(self.problem)
        self.undecided: list[tuple[list[Dim], Where | None]] = []
        """(both sizes, line) for each 2-D operation on two symbolic axes. One of the two must get a fixed size."""
        self.kept: list[object] = []  # keeps the objects in memory whose ids are keys, so that ids stay unique

    # Running ------------------------------------------------------------------------------------

    def run(self, arguments: Arguments, keywords: Mapping[str, Any]) -> Any:
        """Run the module's ``forward``, and return its result. Raises ``SizesChanged`` if it must run again."""
        call, tracer = torch.nn.Module.__call__, self

        def traced_call(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            return tracer._module(call, module, args, kwargs)

        transformer = torch.nn.modules.transformer
        causal = transformer._detect_is_causal_mask
        torch.nn.Module.__call__ = traced_call
        # torch's function compares the values of the mask, which are not available.
        transformer._detect_is_causal_mask = lambda mask, is_causal=None, size=None: bool(is_causal)
        try:
            with torch.no_grad(), kept_states(self.root), whole_forwards(self._handle), self:
                return self.root(*arguments, **keywords)
        finally:
            torch.nn.Module.__call__ = call
            transformer._detect_is_causal_mask = causal

    def _module(self, call: Function, module: torch.nn.Module, args: Arguments, kwargs: Keywords) -> Any:
        """Return the result of a module's call: translated as a whole for a known layer, else from its own code."""
        module = getattr(module, "_orig_mod", module)  # torch.compile wraps the module
        self.running.append(module)
        try:
            is_subclassed = torch.nn.utils.parametrize.is_parametrized(module)  # torch replaces the class by a subclass
            handler = MODULE_HANDLERS.get(type(module).__mro__[1] if is_subclassed else type(module))
            if isinstance(module, torch.nn.utils.parametrize.ParametrizationList):
                self.native += 1
                try:
                    return call(module, *args, **kwargs)
                finally:
                    self.native -= 1
            if handler is None or not compute_weights(module._forward_pre_hooks) or module._forward_hooks:
                return call(module, *args, **kwargs)
            with torch._C.DisableTorchFunction():
                for hook in module._forward_pre_hooks.values():
                    hook(module, args)
                bound = inspect.signature(module.forward).bind(*args, **kwargs)
                return self._handle(type(module).__name__, handler, module, bound.args, bound.kwargs)
        finally:
            self.running.pop()

    def __torch_function__(
        self, func: Function, types: object, args: Arguments = (), kwargs: Keywords | None = None
    ) -> Any:
        func, args, kwargs = as_function(func, args, dict(kwargs or {}))
        own_name = name_of(func)
        name = ALIASES.get(own_name, own_name)
        if self.native or name == "_weight_norm" or not any(map(_is_traced, flat((args, kwargs)))):
            if name in DRAWN and not self.native:  # A draw during the run would become a constant of the net.
                self.problem(f"{name}: {REFUSED[name]}")
            return func(*args, **kwargs)
        args = by_position(name, args, kwargs)
        if name in PYTHON_RESULTS:
            return PYTHON_RESULTS[name](self, *args, **kwargs)
        if name == "__setitem__" and is_part(args[2], args[0], args[1]):
            return None  # In ``x[i] += y``, the in-place addition has written the part already.
        out = args[0] if kwargs.pop("inplace", False) else kwargs.pop("out", None)
        if name in IN_PLACE or (name.endswith("_") and not name.startswith("__")):
            plain = IN_PLACE.get(name, name.rstrip("_"))
            result = self._handle(name, HANDLERS.get(name) or HANDLERS.get(plain), func, args, kwargs)
            return self._overwrite(args[0], result, plain in VIEWS)
        result = self._handle(name, HANDLERS.get(name), func, args, kwargs)
        return result if out is None else self._overwrite(out, result)

    def _overwrite(self, target: Any, result: object, is_view: bool = False) -> Any:
        """Write a result into a tensor, or if ``is_view``, make the tensor a view of itself. Return the tensor."""
        if isinstance(target, Traced) and isinstance(result, Traced):
            if self.branches.first_new is not None and target.memory.number < self.branches.first_new:
                self.problem("a branch on values changes a tensor in place; compute a new tensor, as in y = y + 1")
            if target.shape != result.shape:
                target.data = torch.empty(result.shape, dtype=target.dtype, device="meta")
            write(target, result.value, self._call, self.sizes, is_view)
        elif isinstance(target, torch.Tensor) and isinstance(result, Traced):
            self.problem("a parameter, buffer or constant of the module is changed in place; compute a new tensor")
        elif not isinstance(target, torch.Tensor):
            self.problem("out= has several tensors; use the tensors that the call returns")
        return target

    def _call(self, name: str, called: Any, args: Arguments, kwargs: Keywords) -> Any:
        return self._handle(name, HANDLERS[name], called, args, kwargs)

    def _handle(
        self, name: str, handler: Handler | Composed | None, called: Any, args: Arguments, kwargs: Keywords
    ) -> Any:
        """Return the result of a call of a torch function or module; a placeholder if the call is not supported."""
        is_module = isinstance(called, torch.nn.Module)
        try:
            expected = None if is_module or name in NEEDS_VALUES else meta_result(called, args, kwargs)
            if handler is None:
                raise UnreadableError(f"{name}: {REFUSED[name]}" if name in REFUSED else f"{name} {NOT_READ}")
            if any(isinstance(item, Traced) and isinstance(item.value, Unknown) for item in flat((args, kwargs))):
                return unknown_result(guessed_result(called, args, kwargs) if is_module else expected, args, kwargs)
            if not is_module:
                kwargs = {key: item for key, item in kwargs.items() if key not in IGNORED}
                self.expected = expected
            if isinstance(handler, Composed):
                return self._run_composed(handler, expected, args, kwargs)
            args = rounded_numbers(name, args, expected)
            operands = [self.unwrap(item) for item in ((called, *args) if is_module else args)]
            keywords = {key: self.unwrap(item) for key, item in kwargs.items()}
            packed = next((item for item in operands if isinstance(item, Packed)), None)
            if packed is not None and name in STEPWISE:
                result: Any = self._on_steps(handler, packed, operands, keywords)
            else:
                with read_from(user_line()):  # once for all steps that the handler declares
                    result = handler(self, *operands, **keywords)
            result = rounded(self, result, expected, name in MOVES and all(map(is_rounded, flat((args, kwargs)))))
            return self._with_views(name, called, self._wrap_results(result, expected), expected, args, kwargs)
        except UnreadableError as error:
            self.problem(f"{name}: {error}" if handler is not None else str(error))
        except RnnGraphError as error:
            self.problem(f"{name}: {error.what}")
        except NotImplementedError:
            self.problem(
                f"{name}: its output shape depends on the data; select with torch.where, which keeps the shape"
            )
        except (RuntimeError, IndexError) as error:
            if not str(error):
                raise
            self.problem(f"{name}: {what_failed(error)}")
        except TypeError as error:
            if "unexpected keyword argument" not in str(error) and "positional argument" not in str(error):
                raise
            self.problem(f"{name}: an argument is not supported ({first_line(error)}); leave it out")
        return unknown_result(guessed_result(called, args, kwargs), args, kwargs)

    def _run_composed(self, composed: Composed, expected: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Return a torch function's result, computed by other torch functions, in the form of torch's ``expected``."""
        with self:
            result = composed.function(*args, **kwargs)
        for ours, theirs in zip(flat(result), flat(expected), strict=False):
            if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
                check_shape(ours.shape, theirs.shape)
        if isinstance(result, Traced) and isinstance(expected, torch.Tensor) and result.dtype != expected.dtype:
            return self.traced(rounded(self, self.unwrap(result), expected), expected)
        return type(expected)(result) if isinstance(result, tuple) and isinstance(expected, tuple) else result

    def by_torch(self, function: Function, *operands: Any) -> Any:
        """Return the result of a function that is written in torch functions, for values of the script."""
        with self:
            result = function(*(self.traced(item) if isinstance(item, Value | Lazy) else item for item in operands))
        return mapped(result, self.unwrap)

    def _on_steps(self, handler: Handler, packed: Packed, operands: Sequence[Any], keywords: Keywords) -> Packed:
        """Apply a function that computes each step independently to the data of a packed sequence."""
        rows = self.value(handler(self, *(packed.of if item is packed else item for item in operands), **keywords))
        shape = (packed.shape[0], *shape_of(rows)[2:])
        return Packed(rows, packed.lengths, packed.batch_first, packed.is_sorted, shape, dtype_of(rows))

    def _wrap_results(self, result: Any, expected: Any) -> Any:
        """Convert a translated call's result, values of the script, to tensors for the module's code."""
        if isinstance(result, Value) and isinstance(result.result, list | tuple):
            result = list(result)
        if isinstance(result, Value | Lazy):
            return self.traced(result, expected if isinstance(expected, torch.Tensor) else None)
        if isinstance(result, list | tuple) and not isinstance(result, Shape):
            alike = isinstance(expected, list | tuple) and len(expected) == len(result)
            parts = [self._wrap_results(item, expected[n] if alike else None) for n, item in enumerate(result)]
            if alike and hasattr(expected, "_fields"):
                return type(expected)(*parts)
            if alike and isinstance(expected, tuple) and type(expected) is not tuple:
                return type(expected)(parts)
            return tuple.__new__(type(result), parts) if isinstance(result, tuple) else parts
        return result

    def _with_views(self, name: str, called: Any, result: Any, expected: Any, args: Arguments, kwargs: Keywords) -> Any:
        """Return a result. If torch's result is a view of an argument, record that ``result`` is one too."""
        owners = {memory_of(item): item for item in flat((args, kwargs)) if isinstance(item, Traced)}
        for ours, theirs in zip(flat(result), flat(expected), strict=False):
            if isinstance(ours, Traced) and isinstance(theirs, torch.Tensor) and memory_of(theirs) in owners:
                ours.share(owners[memory_of(theirs)])
        if (view := view_of(result, name, called, args, kwargs)) is not None:
            result.origin = view
        return result

    def traced(self, value: Value | Lazy, expected: torch.Tensor | None = None) -> Traced:
        """Wrap a value in a tensor for the module's code, with the shape and dtype of ``expected``, torch's result."""
        shape, dtype = tuple(map(self.sizes.value, shape_of(value))), TORCH_DTYPES[dtype_of(value)]
        if expected is not None and (tuple(expected.shape), expected.dtype) != (shape, dtype):
            check_shape(shape, expected.shape)
            value, dtype = self.cast(value, DTYPES[expected.dtype]), expected.dtype
        return Traced.of(value, torch.empty(shape, dtype=dtype, device="meta"))

    # Operands -----------------------------------------------------------------------------------

    def unwrap(self, item: Any) -> Any:
        """Convert an argument of a torch function, also in lists and dicts, from tensors to values of the script."""
        if isinstance(item, Traced):
            if item.is_overwritten:
                refresh(item, self._call)
            return item.value
        is_number = isinstance(item, torch.Tensor) and not item.ndim and not isinstance(item, torch.nn.Parameter)
        if is_number or isinstance(item, np.generic):
            return item.item()
        return mapped(item, self.unwrap) if type(item) in (list, tuple, dict, slice, Shape, torch.Size) else item

    def value(self, item: Any, dtype: str | None = None) -> Value:
        """Return an operand, such as a tensor or a constant, as a value that the script declares."""
        if isinstance(item, torch.Tensor):
            item = self.parameter(item)
        if isinstance(item, Computable):
            item = self._materialize(item)
        if not isinstance(item, Value):
            raise UnreadableError(NOT_VALUES.get(type(item), f"an operand is a {type(item).__name__}; give a tensor"))
        return self.cast(item, dtype) if dtype else item

    def is_number(self, item: object) -> TypeGuard[Filled]:
        """True for a constant tensor that the script may write as a number."""
        is_state = isinstance(item, Filled) and item.dtype.startswith("float") and has_rows(item.shape)
        self.wrote_numbers |= is_state
        return isinstance(item, Filled) and not (is_state and self.keeps_filled)

    def fix_undecided(self) -> None:
        """Fix one of two undecided sizes, preferably one that no recurrence runs over. Raises ``SizesChanged``."""
        dims, where = self.undecided[0]
        for wanted in (self.scanned.union(self.must_open), self.must_open, ()):
            if rest := [dim for dim in dims if isinstance(dim, Size) and dim.symbols.isdisjoint(wanted)]:
                self.sizes.fix(rest[-1], where)

    def on_time(self, dim: Dim, is_recurrence: bool = True) -> None:
        """Record that a size is a number of time steps, of a recurrence or of windows."""
        if isinstance(dim, Size):
            self.scanned |= dim.symbols if is_recurrence else set()
            if dim.symbol:
                self.times.setdefault(dim.symbol)

    def call(self, function: Function, *operands: Any, **keywords: Any) -> Value:
        """Call a function of ``rg``. Transposes are moved after elementwise calls, so that they may cancel later."""
        if function in ELEMENTWISE and not any(isinstance(item, Value) for item in operands[1:]):
            return elementwise(self.script, function, *operands, **keywords)
        return self.script.call(function, *operands, **keywords)

    def operation(self, sign: str, a: object, b: object) -> Value:
        """Return ``a sign b``. If both operands have the same transpose, transpose the result instead."""
        return operation(self.script, sign, a, b)

    def cast(self, value: Any, dtype: str) -> Any:
        """Return a declared or only described value in another dtype."""
        if dtype_of(value) == dtype:
            return value
        lazy = recast(value, dtype, self.cast)
        return self.call(cast, self.value(value), dtype) if lazy is None else lazy

    def _materialize(self, lazy: Computable) -> Value:
        """Declare a value that is so far only described; return the earlier declaration if there is one."""
        key: Hashable = ("lazy", id(lazy))
        if isinstance(lazy, Filled):  # Equal constants share one value, so that the iterations of a loop are equal.
            key = ("filled", str(lazy.number), lazy.shape, lazy.dtype)
        if key not in self.cached:
            self.kept.append(lazy)
            value = materialized(self, lazy)
            if isinstance(lazy, Filled):
                value.step.fill = float(lazy.number)
            self.cached[key] = value
        return self.cached[key]

    # Parameters ---------------------------------------------------------------------------------

    def use(self, item: object) -> bool:
        """Record that a layer uses a parameter or module. Return True if there are other uses."""
        key = id(item)
        self.kept.append(item)
        self.uses[key] = self.uses.get(key, 0) + 1
        return key in self.shared or ("plain", key) in self.shared

    def path_of(self, tensor: object, otherwise: str = "weight") -> str:
        """Return a parameter's path in the module, with slashes.

        A computed parameter has no path: the path of the module that uses it is taken, followed by ``otherwise``.
        """
        known = self.names.get(id(tensor))
        if known is None:
            inside = self.paths.get(id(self.running[-1]), "") if self.running else ""
            known = f"{inside}.{otherwise}" if inside else otherwise
        return known.replace(".", "/")

    def parameter(self, tensor: torch.Tensor, otherwise: str = "weight") -> Value:
        """Declare a parameter, buffer or constant of the module, in torch's layout."""
        key = "parameter", id(tensor)
        self.plain.add(id(tensor))
        if key not in self.cached:
            self.kept.append(tensor)
            path = self.path_of(tensor, otherwise)
            trainable = isinstance(tensor, torch.nn.Parameter) or tensor.requires_grad
            value = self.declared(path, array_of(tensor), trainable)
            self.cached[key] = value if tensor.dim() else self.call(reshape, value, ())
        return self.cached[key]

    def declared(self, path: str, array: np.ndarray, trainable: bool = True) -> Value:
        """Declare a parameter outside of layers."""
        return declare_parameter(self.script, path, np.atleast_1d(array), identifier(path), trainable=trainable)

    # Errors -------------------------------------------------------------------------------------

    def rewrites_branch(self) -> bool:
        """Rewrite the function that currently branches on values. Return False if that is impossible."""
        return self.branches.rewrite(user_frame())

    def problem(self, what: str) -> None:
        """Record a problem, with the current line and module."""
        where, inside = user_line_of_module(), self.paths.get(id(self.running[-1]), "") if self.running else ""
        if isinstance(self.root, PlacedModule):
            where, inside = self.root.place()
        at = f" ({inside})" if inside else ""
        self.problems.append((f"{where}: {what}{at}" if where else f"{what}{at}", where))


def _is_traced(item: object) -> bool:
    """True for an argument whose calls belong to the script: a traced tensor or a symbolic number."""
    return isinstance(item, Traced | Extent | OpenFloat | torch.nn.Parameter)
