"""Writes the source of a cell class for the body of a loop in a file or module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

ARGUMENTS = ("self", "p", "x", "state")
"""Parameters of the method ``step``. No variable in the method may have one of these names."""


def class_text(
    name: str,
    about: str,
    arguments: Sequence[str],
    widths: Mapping[str, int],
    output_width: int,
    step: Iterable[str],
) -> str:
    """Return the source of a subclass of ``rg.Cell``.

    Args:
        name: Name of the class.
        about: Docstring of the class.
        arguments: Arguments of the constructor, which the step reads as attributes.
        widths: Widths of the states, by name.
        output_width: Width of the output.
        step: Lines of the method ``step``.
    """
    text = [f"class {name}(rg.Cell):", f'    """{about}"""', ""]
    if arguments:
        text += [f"    def __init__(self, {', '.join(arguments)}):"]
        text += [*(f"        self.{argument} = {argument}" for argument in arguments), ""]
    text += ["    def state(self):", f"        return {dict(widths)!r}", ""]
    if output_width != [*widths.values()][-1]:  # ``rg.Cell`` returns the width of the last state by default
        text += ["    @property", "    def output_size(self):", f"        return {output_width}", ""]
    text += ["    def step(self, p, x, state):", *(f"        {line}" for line in step)]
    return "\n".join(text)
