"""``tf.flags``: options of the command line, defined by ``DEFINE_*`` and read off ``FLAGS``.

What stands on the command line and is no flag of the program is kept, and handed to its main function. A flag that is
defined again, as when a cell of a notebook runs again, is the new one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, NameLookupError, did_you_mean, shown

_TRUE, _FALSE = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")


class Error(ArgumentError):
    """A flag has a value that it can't have."""


class Flag:
    """One flag. convert: from the text of the command line, or from what a program sets; None stays None."""

    def __init__(self, name: str, default: Any, help: str, kind: str, convert: Callable[[Any], Any]) -> None:
        self.name, self.help, self.kind, self.convert = name, help, kind, convert
        self.present, self.required = False, False
        self.default = self.value = None if default is None else self._converted(default)

    def set(self, value: Any) -> None:
        """Gives it a value."""
        self.value = None if value is None else self._converted(value)
        self.present = True

    def _converted(self, value: Any) -> Any:
        try:
            return self.convert(value)
        except (ValueError, TypeError, OverflowError):
            raise Error(f"flag --{self.name} is {self.kind}, not {shown(value)}") from None

    def __repr__(self) -> str:
        return str(self.value)

    __str__ = __repr__


class FlagValues:
    """``tf.flags.FLAGS``: values of flags by name, of the command line once one is read."""

    _flags: dict[str, Flag]

    def __init__(self) -> None:
        self.__dict__["_flags"] = {}
        self.__dict__["_is_parsed"] = False

    @api
    def __call__(self, argv: Sequence[str] | None = None, known_only: bool = True) -> list[str]:
        """Reads a command line; gives what of it is no flag, the name of the program first."""
        words = list(sys.argv if argv is None else argv)
        if not all(isinstance(word, str) for word in words):
            raise DtypeError(f"a command line is a list of words, not {shown(argv)}")
        rest = words[:1]
        words = words[1:]
        while words:
            word = words.pop(0)
            if word == "--":
                rest += words
                break
            taken = self._take(word, words)
            if not taken:
                rest.append(word)
        self.__dict__["_is_parsed"] = True
        self._check_required()
        return rest

    def _take(self, word: str, words: list[str]) -> bool:
        """Sets the flag that a word, and perhaps the next one, is about; False where it is about none."""
        if not word.startswith("-") or word in ("-", "--"):
            return False
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        flag = self._flags.get(name.replace("-", "_"), self._flags.get(name))
        if flag is None and name in ("help", "helpfull", "h") and "help" not in self._flags:
            sys.stdout.write(self.main_help())
            raise SystemExit(1)
        if flag is None and name.startswith("no") and (other := self._flags.get(name[2:])) and other.kind == "bool":
            other.set(False)
            return True
        if flag is None:
            return False
        if equals:
            flag.set(value)
        elif flag.kind == "bool":
            flag.set(True)
        elif words:
            flag.set(words.pop(0))
        else:
            raise Error(f"flag --{name} has no value")
        return True

    def _check_required(self) -> None:
        for flag in self._flags.values():
            if flag.required and flag.value is None:
                raise Error(f"flag --{flag.name} must be given")

    def __getattr__(self, name: str) -> Any:
        if name == "__flags":  # as in programs of before TensorFlow 1.5
            return self._flags
        if name.startswith("__") or name not in self._flags:
            hint = did_you_mean(name, self._flags) or f"; there are {', '.join(self._flags) or 'none'}"
            raise UndefinedFlagError(f"no flag is named {name}{hint}; define it with tf.flags.DEFINE_string and kin")
        if not self._is_parsed:
            self()
        return self._flags[name].value

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._flags:
            raise NameLookupError(f"no flag is named {shown(name)}{did_you_mean(name, self._flags)}")
        self._flags[name].set(value)

    def __getitem__(self, name: str) -> Flag:
        if name not in self._flags:
            raise NameLookupError(f"no flag is named {shown(name)}{did_you_mean(str(name), self._flags)}")
        return self._flags[name]

    def __contains__(self, name: object) -> bool:
        return name in self._flags

    def __iter__(self) -> Iterator[str]:
        return iter(self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def __delattr__(self, name: str) -> None:
        self._flags.pop(name, None)

    def define(self, flag: Flag) -> None:
        """Adds a flag."""
        self._flags[flag.name] = flag
        self.__dict__["_is_parsed"] = False

    def flag_values_dict(self) -> dict[str, Any]:
        """Values by name."""
        return {name: flag.value for name, flag in self._flags.items()}

    def get_flag_value(self, name: str, default: Any) -> Any:
        """The value of a flag; ``default`` where it has none, or there is no such flag."""
        value = getattr(self, name) if name in self._flags else None
        return default if value is None else value

    def set_default(self, name: str, value: Any) -> None:
        """Changes what a flag is where the command line does not say it."""
        flag = self[name]
        if not flag.present:
            flag.set(value)
            flag.present = False

    def is_parsed(self) -> bool:
        """Whether a command line was read."""
        return bool(self._is_parsed)

    def mark_as_parsed(self) -> None:
        """As if a command line without flags had been read."""
        self.__dict__["_is_parsed"] = True

    def unparse_flags(self) -> None:
        """As if none had been read."""
        self.__dict__["_is_parsed"] = False

    def remove_flag_values(self, names: Any) -> None:
        """Forgets flags."""
        for name in list(names):
            self._flags.pop(name, None)

    def _parse_flags(self, args: Sequence[str] | None = None) -> list[str]:
        """As in programs of before TensorFlow 1.5."""
        return self(None if args is None else ["", *args])[1:]

    def main_help(self) -> str:
        """A line for each flag."""
        lines = [f"  --{flag.name}: {flag.help} (default: {flag.default})" for flag in self._flags.values()]
        return "\n".join(["flags:", *lines, ""])

    def __dir__(self) -> list[str]:
        return list(self._flags)


class UndefinedFlagError(NameLookupError, AttributeError):
    """No flag has a name."""


FLAGS = FlagValues()
"""Of the process, as its command line is."""


def _bool(value: Any) -> bool:
    text = str(value).lower()
    if isinstance(value, str) and text in _TRUE + _FALSE:
        return text in _TRUE
    if isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    raise ValueError


def _int(value: Any) -> int:
    if isinstance(value, float | bool):
        raise TypeError
    return int(value, 0) if isinstance(value, str) and value[:2].lower() in ("0x", "0o", "0b") else int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _list(value: Any) -> list[str]:
    if not isinstance(value, str | list | tuple):
        raise TypeError
    return [item.strip() for item in value.split(",") if value] if isinstance(value, str) else list(map(str, value))


def _define(name: Any, default: Any, help: Any, kind: str, convert: Callable[[Any], Any]) -> None:
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        raise DtypeError(f"a flag's name is a word, not {shown(name)}")
    FLAGS.define(Flag(name, default, help if isinstance(help, str) else shown(help), kind, convert))


@api
def DEFINE_string(name: str, default: Any, help: Any = "", **options: Any) -> None:
    """A flag that is a text."""
    _define(name, default, help, "a text", _text)


@api
def DEFINE_integer(name: str, default: Any, help: Any = "", lower_bound: Any = None, upper_bound: Any = None,
                   **options: Any) -> None:  # fmt: skip
    """A flag that is a whole number."""
    _define(name, default, help, "a whole number", _within(_int, lower_bound, upper_bound))


@api
def DEFINE_float(name: str, default: Any, help: Any = "", lower_bound: Any = None, upper_bound: Any = None,
                 **options: Any) -> None:  # fmt: skip
    """A flag that is a number."""
    _define(name, default, help, "a number", _within(_float, lower_bound, upper_bound))


def _within(convert: Callable[[Any], Any], low: Any, high: Any) -> Callable[[Any], Any]:
    def converted(value: Any) -> Any:
        found = convert(value)
        if (low is not None and found < low) or (high is not None and found > high):
            raise ValueError
        return found

    return converted


@api
def DEFINE_boolean(name: str, default: Any, help: Any = "", **options: Any) -> None:
    """A flag that is true or false: ``--name``, ``--noname``, ``--name=false``."""
    _define(name, default, help, "bool", _bool)


DEFINE_bool = DEFINE_boolean


@api
def DEFINE_enum(name: str, default: Any, enum_values: Sequence[str], help: Any = "", **options: Any) -> None:
    """A flag that is one of several words."""
    if not isinstance(enum_values, list | tuple) or not all(isinstance(item, str) for item in enum_values):
        raise DtypeError(f"DEFINE_enum takes a list of words, not {shown(enum_values)}")

    def chosen(value: Any) -> Any:
        if value not in enum_values:
            raise ValueError
        return value

    _define(name, default, help, f"one of {', '.join(enum_values)}", chosen)


@api
def DEFINE_list(name: str, default: Any, help: Any = "", **options: Any) -> None:
    """A flag that is a list of words, with commas between."""
    _define(name, default, help, "words with commas between", _list)


@api
def mark_flag_as_required(flag_name: str, flag_values: Any = None) -> None:
    """A flag that a command line must give."""
    FLAGS[flag_name].required = True


@api
def mark_flags_as_required(flag_names: Sequence[str], flag_values: Any = None) -> None:
    """Flags that a command line must give."""
    for name in flag_names:
        mark_flag_as_required(name)
