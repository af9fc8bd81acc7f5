"""The text of a class of cells, as scripts hold it: what a reader makes of a step that a file or a module repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

ARGUMENTS = ("self", "p", "x", "state")
"""Names in a step that no variable may have."""


def class_text(
    name: str,
    about: str,
    arguments: Sequence[str],
    widths: Mapping[str, int],
    output_width: int,
    step: Iterable[str],
) -> str:
    """A subclass of ``rg.Cell``.

    about: the docstring. arguments: of the constructor, which the step reads as attributes. widths: of the states.
    step: the lines of the method.
    """
    text = [f"class {name}(rg.Cell):", f'    """{about}"""', ""]
    if arguments:
        text += [f"    def __init__(self, {', '.join(arguments)}):"]
        text += [*(f"        self.{argument} = {argument}" for argument in arguments), ""]
    text += ["    def state(self):", f"        return {dict(widths)!r}", ""]
    if output_width != [*widths.values()][-1]:  # which is a cell's own, unless it says another
        text += ["    @property", "    def output_size(self):", f"        return {output_width}", ""]
    text += ["    def step(self, p, x, state):", *(f"        {line}" for line in step)]
    return "\n".join(text)
