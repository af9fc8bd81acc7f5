"""``tf.contrib.training.HParams``: a program's settings by name, which a command line may change."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, NameLookupError, did_you_mean, shown

_SETTING = re.compile(
    r"(?P<name>[A-Za-z]\w*)(?:\[\s*(?P<index>\d+)\s*\])?\s*=\s*(?P<value>\[[^\]]*\]|[^,\[]*)(?:,|$)\s*"
)
_BOOLS = {"true": True, "1": True, "false": False, "0": False}


class HParams:
    """Settings as attributes: numbers, bools, strings, or lists of one type.

    Methods that change a setting convert the new value to the type of the old one. Assignments to attributes do not.
    """

    @api
    def __init__(self, hparam_def: Any = None, model_structure: Any = None, **settings: Any) -> None:
        if hparam_def is not None or model_structure is not None:
            raise ArgumentError(
                "hparam_def and model_structure of tf.contrib.training.HParams are not offered; pass settings by name"
            )
        self._values: dict[str, Any] = {}
        for name, value in settings.items():
            self.add_hparam(name, value)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        raise NameLookupError(f"there is no setting {name}{did_you_mean(name, values)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        elif name in self._values:
            self._values[name] = value
        else:
            raise NameLookupError(f"there is no setting {name}{did_you_mean(name, self._values)}; use add_hparam")

    @api
    def add_hparam(self, name: str, value: Any) -> None:
        """Add a setting. Raise ``ArgumentError`` if it exists already."""
        if not isinstance(name, str) or not name.isidentifier() or hasattr(type(self), name) or name in self._values:
            raise ArgumentError(
                f"{shown(name)} can't be a new setting: it exists already, or is not a valid name; change a setting "
                "with set_hparam, or use another name"
            )
        if value is None:
            raise DtypeError(f"the setting {name} can't be None; pass a value, which determines the setting's type")
        self._values[name] = list(value) if isinstance(value, tuple) else value

    @api
    def set_hparam(self, name: str, value: Any) -> None:
        """Change a setting. Raise ``DtypeError`` if the value can't be converted to the setting's type."""
        before = getattr(self, name)
        if isinstance(before, list) != isinstance(value, list | tuple):
            wanted = "a list" if isinstance(before, list) else "one value"
            raise DtypeError(f"the setting {name} is {shown(before)}, so it can't be {shown(value)}; pass {wanted}")
        if isinstance(value, list | tuple):
            like = before[0] if before else None
            self._values[name] = [item if like is None else _converted(name, item, like) for item in value]
        else:
            self._values[name] = _converted(name, value, before)

    @api
    def del_hparam(self, name: str) -> None:
        """Remove a setting, if it exists."""
        self._values.pop(name, None)

    @api
    def parse(self, values: str) -> HParams:
        """Change settings to the values in a text such as "units=128,rates=[0.1, 0.2],sizes[1]=3". Return itself."""
        position = 0
        while position < len(values.rstrip()):
            match = _SETTING.match(values, position)
            if match is None:
                raise ArgumentError(
                    f"{shown(values[position:])} is not a setting; write name=value, separated by commas"
                )
            self._set_from_text(match["name"], match["index"], match["value"].strip())
            position = match.end()
        return self

    def _set_from_text(self, name: str, index: str | None, text: str) -> None:
        """Change a setting, or one entry of a list, to a value that is written as text, such as ``[0.1, 0.2]``."""
        before = getattr(self, name)
        if index is not None:
            if not isinstance(before, list) or int(index) >= len(before):
                raise ArgumentError(
                    f"the setting {name} is {shown(before)}, which has no entry {index}; write an index of the list, "
                    "or the whole list"
                )
            before[int(index)] = _converted(name, text, before[int(index)])
        elif text.startswith("["):
            self.set_hparam(name, [item.strip().strip("\"'") for item in text[1:-1].split(",") if item.strip()])
        else:
            self.set_hparam(name, text)

    @api
    def override_from_dict(self, values_dict: Mapping[str, Any]) -> HParams:
        """Change settings to the values of a mapping. Return itself."""
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    @api
    def parse_json(self, values_json: str) -> HParams:
        """Change settings to the values of a JSON object. Return itself."""
        try:
            settings = json.loads(values_json)
        except ValueError as error:
            raise ArgumentError(f"{shown(values_json)} is not JSON: {error}") from None
        if not isinstance(settings, dict):
            raise ArgumentError(f"settings must be a JSON object, not {shown(values_json)}")
        return self.override_from_dict(settings)

    @api
    def to_json(self, indent: Any = None, separators: Any = None, sort_keys: bool = False) -> str:
        """Return the settings as a JSON object, without those whose values are callable.

        Raises:
            TypeError: JSON has no form for the value of a setting.
        """
        values = {name: value for name, value in self._values.items() if not callable(value)}
        return json.dumps(values, indent=indent, separators=separators, sort_keys=sort_keys)

    @api
    def values(self) -> dict[str, Any]:
        """Return all settings by name."""
        return dict(self._values)

    @api
    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting, or ``default`` if it does not exist."""
        return self._values.get(key, default)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __repr__(self) -> str:
        return f"HParams({', '.join(f'{name}={value!r}' for name, value in sorted(self._values.items()))})"


def _converted(name: str, value: Any, like: Any) -> Any:
    """Convert a value, or its text, to the type of ``like``, the present value of the setting ``name``."""
    kind = type(like)
    if kind is bool:
        truth = value if isinstance(value, bool) else _BOOLS.get(str(value).lower())
        if truth is None:
            raise DtypeError(f"the setting {name} must be true or false, not {shown(value)}")
        return truth
    if kind not in (int, float):
        return value if not isinstance(value, str) or kind is str else _literal(value)
    try:
        number = ast.literal_eval(value) if isinstance(value, str) else value
        if isinstance(number, bool) or (kind is int and number != int(number)):
            raise ValueError
        return kind(number)
    except (ValueError, TypeError, SyntaxError, OverflowError):
        raise DtypeError(f"the setting {name} must be of type {kind.__name__}, not {shown(value)}") from None


def _literal(text: str) -> Any:
    """Return the value of a text that is a Python literal; return other texts unchanged."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
