"""Page: a program with all stages in one file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from ...runtime.graph_source import DeclaredSource, GraphSource
from ...runtime.native.compiled_graph import CompiledGraph
from ...runtime.parameters import Parameters
from ...support.errors import DtypeError, shown
from ..picture.boxes import Box, Declaration
from ..picture.drawing import DETAILS, Graphs, drawing_of
from ..picture.pictures import declared
from ..picture.svg import style_text, svg_text
from ..profile.profile import Profile
from ..surface.svg import plain
from .facts import all_array_facts, lines_of_files, shown_files, time_facts
from .packed import packed
from .places import Places
from .stages import stages_of_graph

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("light.js", "texts.js", "panes.js", "folds.js", "view.js", "picture.js", "tables.js", "main.js")
GRAPHS: tuple[Graphs, ...] = ("training", "inference")
TIMED = {"step": "training", "evaluation": "inference"}
"""Graph on the page at which a profile's times are shown, by the profiled graph, if the two differ."""

FRAME = 720
"""Height of the page in a notebook, in pixels."""


class Page(str):
    """Text of a page, which a notebook shows as a page."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<a page of {len(self) / 1e3:,.0f} kB; explore(path) writes it to a file>"

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self)}" title="rnngraph explore" width="100%" height="{FRAME}"></iframe>'


def page_text(
    source: GraphSource,
    graphs: Mapping[str, CompiledGraph],
    parameters: Parameters,
    taps: Mapping[str, Any],
    profiles: Sequence[Profile] = (),
    title: str = "",
) -> Page:
    """Return the explorer's HTML page of a program: its script, pictures, stages, parameters and times.

    Args:
        source, parameters: Declaration and parameters of the program.
        graphs: Compiled graphs by name; the last one is shown first.
        taps: Taps of a batch, by name.
        profiles: Profiles of graphs, or of a trainer's step. Of several profiles of one graph, the last counts.
        title: Title; if empty, the script's name, or ``A recurrent net`` without a script.
    """
    places, declaration = Places(), declared(source)
    texts: dict[str, str] = {}
    graph_facts = [_graph_facts(name, compiled, places, texts) for name, compiled in graphs.items()]
    boxes = {box.key: _box_facts(box, places) for outer in declaration.boxes for box in outer.walk()}
    # times of a trainer's step are shown at the training graph, which the step extends
    times = {TIMED.get(profile.graph, profile.graph): time_facts(profile, places) for profile in profiles}
    lines = lines_of_files(places)
    files = shown_files(places, isinstance(source, DeclaredSource))
    facts = {
        "graphs": graph_facts,
        "boxes": boxes,
        "lines": lines,
        "files": files,
        "times": times,
        "details": [*reversed(DETAILS)],
        "parameters": all_array_facts(parameters, places, {name: parameters.layer(name) for name in parameters}),
        "taps": all_array_facts(taps, places, {}),
        **places.table(),
    }
    script = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();'
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    # scripts within texts cannot run, and nothing is loaded from a network
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; base-uri 'none'"
    style = (ASSETS / "page.css").read_text(encoding="utf-8") + style_text(':root[data-theme="dark"]')
    named = title or (Path(files[0]["name"]).name if files else "A recurrent net")
    return Page(
        Template((ASSETS / "page.html").read_text(encoding="utf-8")).substitute(
            title=plain(named),
            policy=policy,
            style=style,
            pictures=_pictures(declaration, [*graphs]),
            script=script,
            texts="\n".join(f'<script type="text/plain" id="{key}">{data}</script>' for key, data in texts.items()),
            facts=_harmless(facts),
        )
    )


def checked_profiles(profile: Any) -> list[Profile]:
    """Return one or several profiles as a list; an empty one for None. Raise ``DtypeError`` for anything else."""
    profiles: list[Any] = [*profile] if isinstance(profile, list | tuple) else [] if profile is None else [profile]
    for item in profiles:
        if not isinstance(item, Profile):
            raise DtypeError(f"explore takes profiles, as program.inference.profile returns them, not {shown(item)}")
    return profiles


def _graph_facts(name: str, compiled: CompiledGraph, places: Places, texts: dict[str, str]) -> dict[str, Any]:
    """Return a dict of a graph's name and stages. Put each stage's packed text into ``texts``, by id."""
    stages: list[dict[str, Any]] = []
    for stage in stages_of_graph(compiled):
        sets = [places.index_of_set(line.origins) for line in stage.lines]
        texts[f"text-{name}-{stage.name}"] = packed([line.text for line in stage.lines], sets)
        stages.append(
            {
                "name": stage.name,
                "about": stage.about,
                "law": stage.law,
                "seconds": round(stage.seconds, 6),
                "before": stage.before,
                "changes": stage.changes,
                "count": len(stage.lines),
            }
        )
    return {"name": name, "stages": stages}


def _box_facts(box: Box, places: Places) -> dict[str, Any]:
    """Return {``own``: index of a box's set of source places, ``all``: that of the box and all boxes inside}.

    Places without a layer are left out of ``all`` if others remain, because several layers may share their lines.
    """
    inner = [where for one in box.walk() for where in one.wheres]
    layered = [where for where in inner if where.layer]
    return {
        "own": places.index_of_set(box.wheres),
        "all": places.index_of_set(layered or inner),
        "folded": box.is_folded,
    }


def _pictures(declaration: Declaration, graphs: Sequence[str]) -> str:
    """Return the pictures of the graphs as HTML with all equations."""
    drawings = {graph: drawing_of(declaration, graph, "equations", True) for graph in GRAPHS if graph in graphs}
    nets = (f'<div class="net" data-graph="{name}">{svg_text(one, False)}</div>' for name, one in drawings.items())
    return f'<div class="nets">{"".join(nets)}</div>'


def _harmless(facts: Any) -> str:
    """Return facts as JSON text in which no string can end its HTML element."""
    return json.dumps(facts, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
