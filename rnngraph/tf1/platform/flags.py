"""``tf.flags``: absl's flags, as in TensorFlow 1.15.

Reading a flag before a command line was parsed parses ``sys.argv``, and ignores unknown flags.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

from ...support.errors import MissingExtraError

try:
    from absl import flags as absl_flags
    from absl.flags import (
        DEFINE_enum,
        DEFINE_list,
        DEFINE_multi_float,
        DEFINE_multi_integer,
        DEFINE_multi_string,
        DuplicateFlagError,
        Error,
        IllegalFlagValueError,
        UnrecognizedFlagError,
        mark_flag_as_required,
        mark_flags_as_required,
        register_validator,
        validator,
    )
except ImportError:
    raise MissingExtraError(
        "tf.flags and tf.app need absl-py; pip install absl-py, or pip install 'rnngraph[tf1]'"
    ) from None

__all__ = (
    "FLAGS",
    "DEFINE_bool",
    "DEFINE_boolean",
    "DEFINE_enum",
    "DEFINE_float",
    "DEFINE_integer",
    "DEFINE_list",
    "DEFINE_multi_float",
    "DEFINE_multi_integer",
    "DEFINE_multi_string",
    "DEFINE_string",
    "DuplicateFlagError",
    "Error",
    "IllegalFlagValueError",
    "UnrecognizedFlagError",
    "mark_flag_as_required",
    "mark_flags_as_required",
    "register_validator",
    "validator",
)

absl_flags.disclaim_key_flags()  # absl assigns a flag to the module that defines it: the program's, not this one

_OLD_NAMES = {"flag_name": "name", "default_value": "default", "docstring": "help"}


def _with_old_names(define: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that defines flags, so that it also accepts the argument names before TensorFlow 1.5."""

    @wraps(define)
    def call(*arguments: Any, **keywords: Any) -> Any:
        return define(*arguments, **{_OLD_NAMES.get(name, name): value for name, value in keywords.items()})

    return call


DEFINE_string, DEFINE_boolean = _with_old_names(absl_flags.DEFINE_string), _with_old_names(absl_flags.DEFINE_boolean)
DEFINE_integer, DEFINE_float = _with_old_names(absl_flags.DEFINE_integer), _with_old_names(absl_flags.DEFINE_float)
DEFINE_bool = DEFINE_boolean


class Flags:
    """``tf.flags.FLAGS``: absl's ``FLAGS``. Reading a value parses ``sys.argv`` if nothing was parsed before."""

    def __getattr__(self, name: str) -> Any:
        values = absl_flags.FLAGS
        if name in vars(values) or hasattr(type(values), name):
            return object.__getattribute__(values, name)
        if not values.is_parsed():
            values(sys.argv, known_only=True)
        return getattr(values, name)

    def _parse_flags(self, args: Sequence[str] | None = None) -> list[str]:
        """Parse a list of flags, by default ``sys.argv``. Return unknown flags and other arguments.

        Programs from before TensorFlow 1.5 call it.
        """
        rest: list[str] = absl_flags.FLAGS(sys.argv if args is None else ["", *args], known_only=True)
        return rest[1:]

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(absl_flags.FLAGS, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(absl_flags.FLAGS, name)

    def __getitem__(self, name: str) -> Any:
        return absl_flags.FLAGS[name]

    def __setitem__(self, name: str, flag: Any) -> None:
        absl_flags.FLAGS[name] = flag

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in absl_flags.FLAGS

    def __iter__(self) -> Iterator[str]:
        return iter(absl_flags.FLAGS)

    def __len__(self) -> int:
        return len(absl_flags.FLAGS)

    def __call__(self, *arguments: Any, **keywords: Any) -> list[str]:
        rest: list[str] = absl_flags.FLAGS(*arguments, **keywords)
        return rest

    def __dir__(self) -> list[str]:
        return dir(absl_flags.FLAGS)


FLAGS = Flags()
