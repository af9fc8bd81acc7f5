"""The page: all that is known of a program, in one file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from ..errors import DtypeError, FileError, shown
from ..picture.boxes import Box
from ..picture.drawing import DETAILS, Detail, Graphs, drawing_of
from ..picture.pictures import declared
from ..picture.svg import plain, style_text, svg_text
from ..runtime.graph_source import DeclaredSource
from .facts import all_array_facts, lines_of_files, shown_files, time_facts
from .packed import packed
from .places import Places
from .stages import Stage, stages_of_graph

if TYPE_CHECKING:
    from ..program.program import Program

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("light.js", "texts.js", "panes.js", "main.js")
GRAPHS: tuple[Graphs, ...] = ("training", "inference")
HIGH = 1500
"""Pixels of a picture that is shown with its equations at first; a higher one is shown as cells or layers."""


def explore(
    program: Program[Any], path: str | os.PathLike[str] | None = None, feeds: Mapping[Any, Any] | None = None,
    profile: Any = None, title: str = "",
) -> str:  # fmt: skip
    """The text of the page; it is written to ``path`` where that is given. As ``Program.explore`` has it."""
    if path is not None and not isinstance(path, str | os.PathLike):
        raise DtypeError(f"explore writes a page and takes its path, not {shown(path)}")
    taps = {} if feeds is None else program.inference.taps(feeds)
    text = _Page(program).text(title or "A recurrent net", taps, profile)
    if path is not None:
        try:
            Path(path).write_text(text, encoding="utf-8", errors="replace")
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or error}") from None
    return text


class _Page:
    """One page while it is made."""

    def __init__(self, program: Program[Any]) -> None:
        self.program, self.places = program, Places()
        self.source = program.parts.source
        self.declaration = declared(self.source)
        self.texts: list[str] = []

    def text(self, title: str, taps: Mapping[str, Any], profile: Any) -> str:
        graphs = [self._graph(name) for name in GRAPHS]
        boxes = {box.key: self._box(box) for outer in self.declaration.boxes for box in outer.walk()}
        times = time_facts(profile, self.places) if profile else None
        parameters = self.program.parameters
        layers = {name: parameters.layer(name) for name in parameters}
        lines = lines_of_files(self.places)
        facts = {
            "graphs": graphs, "boxes": boxes, "lines": lines, "details": [*reversed(DETAILS)], "detail": self._detail(),
            "files": shown_files(self.places, isinstance(self.source, DeclaredSource)),
            "parameters": all_array_facts(dict(parameters), self.places, layers),
            "taps": all_array_facts(taps, self.places, {}),
            "times": times, **self.places.table(),
        }  # fmt: skip
        script = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
        script = f'"use strict";\n(() => {{\n{script}}})();'
        digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
        # What would stand in the texts of strangers does not run, and nothing is asked of a network.
        policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; base-uri 'none'"
        style = (ASSETS / "page.css").read_text(encoding="utf-8") + style_text(':root[data-theme="dark"]')
        return Template((ASSETS / "page.html").read_text(encoding="utf-8")).substitute(
            title=plain(title), policy=policy, style=style, pictures=self._pictures(), texts="\n".join(self.texts),
            facts=_harmless(facts), script=script,
        )  # fmt: skip

    def _graph(self, name: str) -> dict[str, Any]:
        stages = stages_of_graph(getattr(self.program, name).full_graph())
        return {"name": name, "stages": [self._stage(name, stage) for stage in stages]}

    def _stage(self, graph: str, stage: Stage) -> dict[str, Any]:
        sets = [self.places.set(line.origins) for line in stage.lines]
        data = packed([line.text for line in stage.lines], sets)
        self.texts.append(f'<script type="text/plain" id="text-{graph}-{stage.name}">{data}</script>')
        return {
            "name": stage.name, "about": stage.about, "law": stage.law, "seconds": round(stage.seconds, 6),
            "before": stage.before, "changes": stage.changes, "count": len(stage.lines),
        }  # fmt: skip

    def _box(self, box: Box) -> dict[str, int]:
        inner = [where for one in box.walk() for where in one.wheres]
        return {"own": self.places.set(box.wheres), "all": self.places.set(inner)}

    def _detail(self) -> Detail:
        """The most detail that is not too high to be looked at."""
        for detail in DETAILS:
            if drawing_of(self.declaration, "training", detail).height <= HIGH:
                return detail
        return DETAILS[-1]

    def _pictures(self) -> str:
        """Each graph at each level of detail; the script shows one or two of them."""
        levels: Sequence[str] = [
            f'<div class="level" data-detail="{detail}">'
            + "".join(f'<div class="net" data-graph="{graph}">{self._picture(graph, detail)}</div>' for graph in GRAPHS)
            + "</div>"
            for detail in DETAILS
        ]
        return "".join(levels)

    def _picture(self, graph: Graphs, detail: Detail) -> str:
        return svg_text(drawing_of(self.declaration, graph, detail), styled=False)


def _harmless(facts: Any) -> str:
    """JSON in which no text can end the element that it stands in."""
    return json.dumps(facts, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
