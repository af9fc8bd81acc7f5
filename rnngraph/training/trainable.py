"""Selection of the parameters that a trainer trains."""

from __future__ import annotations

from collections.abc import Sequence

from ..passes.gradients.autodiff import unreached
from ..program.program import Program
from ..support.errors import ArgumentError, DtypeError, NameLookupError, Where, shown, warn
from .optimization.pruning import is_named


def trained_names(program: Program, only: str | Sequence[str] | None, where: Where | None) -> tuple[str, ...]:
    """Return the names of the parameters that ``only`` selects (None: all trainable ones), in order of creation.

    Parameters that the loss does not depend on are left out, with a warning.

    Raises:
        NameLookupError: A pattern names no trainable parameter.
        ArgumentError: No parameter is left.
    """
    parameters = program.parameters
    trainable = [name for name in parameters if parameters.slot(name).trainable]
    if only is None:
        chosen = trainable
    else:
        try:
            patterns = [only] if isinstance(only, str) else list(only)
        except TypeError:
            raise DtypeError(f"only={shown(only)} must be names of parameters", where) from None
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise DtypeError(f"only={shown(only)} must be names of parameters, not {shown(pattern)}", where)
            if not any(is_named(name, pattern) for name in trainable):
                is_frozen = any(is_named(name, pattern) for name in parameters)
                what = "only parameters declared trainable=False" if is_frozen else "no parameter"
                raise NameLookupError(
                    f"only={shown(pattern)} names {what}; "
                    f"there are {', '.join(trainable) or 'none that are trainable'}",
                    where,
                )
        chosen = [name for name in trainable if any(is_named(name, pattern) for pattern in patterns)]
    unreached_names = set(unreached(program.training.graph))
    idle = [name for name in chosen if name in unreached_names]
    if len(idle) == len(chosen):
        raise ArgumentError(
            "there is nothing to train: the loss reads no trainable parameter that only= names; name others", where
        )
    if idle:
        warn(f"the loss does not depend on {', '.join(idle)}; they are not trained", where)
    return tuple(name for name in chosen if name not in unreached_names)
