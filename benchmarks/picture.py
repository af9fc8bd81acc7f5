"""Draw pictures of benchmarks: the ratios of the contenders' times to rnngraph's.

    python benchmarks/picture.py TABLE.csv … FILE.png

``run.py --csv`` writes the tables. Inference and training get one panel each; a table of engines gets one panel.
Colours are Okabe and Ito's, which colour-blind people can distinguish; each contender also has its own marker.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from floors import FLOOR, PRODUCTS
from groups import Record
from timing import Times, ratio

STYLES = {
    "rnngraph": ("#000000", "."),
    "onnxruntime": ("#0072B2", "o"),
    "torch": ("#D55E00", "s"),
    "jax": ("#009E73", "^"),
    "tensorflow": ("#CC79A7", "D"),
}
OTHER = ("#E69F00", "v")
FLOORS = {FLOOR: "--", PRODUCTS: ":"}
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)

NATIVE = ("onnxruntime", "its own C")
"""Engines that run a net without Python."""

Ratios = Mapping[str, Mapping[str, float]]
"""Ratio of times to rnngraph's, by row and contender."""


def ratios_of(table: Path) -> Ratios:
    """Return the ratios in a CSV table of inference or training, whose cells end in ``(1.43×)``."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    first = next(iter(rows[0]))
    return {
        row[first]: {
            name.partition(" ")[0]: float(cell.partition("(")[2].removesuffix("×)"))
            for name, cell in row.items()
            if cell.endswith("×)")
        }
        for row in rows
    }


def draw_ratios(tables: Mapping[str, Ratios], file: Path) -> None:
    """Draw a panel for each table, a row for each workload and a marker for each contender. Needs matplotlib."""
    pyplot = _pyplot()
    heights = [len(table) for table in tables.values()]
    values = [value for table in tables.values() for row in table.values() for value in row.values()]
    figure, panels = _stacked(pyplot, heights, (8.2, 0.235 * sum(heights) + 0.9 * len(tables) + 0.5))
    for panel, (title, table) in zip(panels[:, 0], tables.items(), strict=True):
        names = list(table)[::-1]
        for name in dict.fromkeys(name for row in table.values() for name in row):
            colour, marker = STYLES.get(name, OTHER)
            points = [(table[row][name], place) for place, row in enumerate(names) if name in table[row]]
            panel.plot(*zip(*points, strict=True), marker, color=colour, markersize=5.5, label=name)
        panel.set_yticks(range(len(names)), names, fontsize=8)
        panel.set_ylim(-0.7, len(names) - 0.3)
        panel.set_title(title, fontsize=10, loc="left")
        panel.grid(axis="both", alpha=0.25)
        _times(panel, values, panel.set_xscale)
        panel.axvline(1.0, color=STYLES["rnngraph"][0], linewidth=1.4, label="rnngraph")
    panels[-1, 0].set_xlabel("how many times as long as rnngraph")
    _legend(figure, panels)
    _save(pyplot, figure, file)


def draw(records: list[Record], file: Path) -> None:
    """Draw a sweep: a panel for each cell and axis, a line for each contender, and the floors dashed and dotted."""
    pyplot = _pyplot()
    cells = list(dict.fromkeys(record["cell"] for record in records))
    axes = list(dict.fromkeys(record["axis"] for record in records))
    size = (4.0 * len(axes), 3.4 * len(cells) + 0.4)
    figure, panels = pyplot.subplots(len(cells), len(axes), figsize=size, squeeze=False, layout="constrained")
    for cell, line in zip(cells, panels, strict=True):
        for axis, panel in zip(axes, line, strict=True):
            chosen = [record for record in records if record["cell"] == cell and record["axis"] == axis]
            if not chosen:  # a run of selected rows may have no record here
                panel.set_axis_off()
                continue
            _panel(panel, sorted(chosen, key=lambda record: record["value"]))
            panel.set_title(f"{cell}: {axis}", fontsize=10)
        line[0].set_ylabel("how many times as long as rnngraph")
    _legend(figure, panels)
    _save(pyplot, figure, file)


def _panel(panel: Any, chosen: list[Record]) -> None:
    values: list[float] = []
    for name in dict.fromkeys(name for record in chosen for name in record["times"] if name != "rnngraph"):
        points: list[tuple[int, Times]] = [(r["value"], r["times"]) for r in chosen if name in r["times"]]
        places, heights = [value for value, _ in points], [ratio(times, name, "rnngraph") for _, times in points]
        if name in FLOORS:
            panel.plot(places, heights, color="#777777", linestyle=FLOORS[name], linewidth=1, label=name)
        else:
            values += heights
            colour, marker = STYLES.get(name, OTHER)
            panel.plot(places, heights, color=colour, marker=marker, markersize=4, linewidth=1.2, label=name)
    panel.axhline(1.0, color=STYLES["rnngraph"][0], linewidth=1.4, label="rnngraph")
    panel.set_xscale("log", base=2 if max(r["value"] for r in chosen) < 5000 else 10)
    _times(panel, values, panel.set_yscale)
    panel.grid(alpha=0.25)


def draw_engines(factors: Mapping[tuple[str, str], float], file: Path) -> None:
    """Draw a bar for each (net, engine): the ratio of the engine's time to rnngraph's. Needs matplotlib."""
    pyplot = _pyplot()
    groups = {
        "engines that need no Python": {key: value for key, value in factors.items() if key[1] in NATIVE},
        "frameworks called from Python": {key: value for key, value in factors.items() if key[1] not in NATIVE},
    }
    groups = {title: group for title, group in groups.items() if group}
    heights = [len(group) for group in groups.values()]
    figure, panels = _stacked(pyplot, heights, (7.5, 0.42 * sum(heights) + 0.7 * len(groups) + 0.4))
    for panel, (title, group), name in zip(panels[:, 0], groups.items(), ("onnxruntime", "torch"), strict=False):
        chosen = sorted(group, key=group.__getitem__)
        values = [group[key] for key in chosen]
        bars = panel.barh(["\n".join(key) for key in chosen], values, color=STYLES[name][0], height=0.6)
        texts = [f"{value:,.0f}×" if value >= 100 else f"{value:.1f}×" for value in values]
        panel.bar_label(bars, texts, padding=3, fontsize=8)
        panel.axvline(1.0, color=STYLES["rnngraph"][0], linewidth=1.4)
        panel.set_xlim(0, 1.12 * max(factors.values()))
        panel.set_ylim(-0.6, len(chosen) - 0.4)
        panel.set_title(title, fontsize=10, loc="left")
        panel.tick_params(axis="y", labelsize=8)
    panels[-1, 0].set_xlabel("how many times as long its own engine takes; the line is rnngraph")
    _save(pyplot, figure, file)


def engines_of(records: list[Record]) -> dict[tuple[str, str], float]:
    """Return {(net, engine): ratio} from the records of a run."""
    return {(r["row"], r["engine"]): ratio(r["times"], "engine", "rnngraph") for r in records}


def engines_in(table: Path) -> dict[tuple[str, str], float]:
    """Return {(net, engine): ratio} from a CSV table of engines."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    return {(row["workload"], row["its engine"]): float(row["times as long"].removesuffix("×")) for row in rows}


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _stacked(pyplot: Any, heights: list[int], size: tuple[float, float]) -> tuple[Any, Any]:
    """Return (figure, panels [panels, 1]), with one panel below the other. ``heights`` are in rows."""
    ratios = {"height_ratios": heights, "sharex": True, "squeeze": False}
    return pyplot.subplots(len(heights), 1, figsize=size, layout="constrained", **ratios)


def _times(panel: Any, values: Iterable[float], set_scale: Any) -> None:
    """Set a logarithmic axis over the range of the values, with ticks 1×, 2×, 5×."""
    set_scale("log")
    known = [1.0, *values]
    axis = panel.xaxis if set_scale == panel.set_xscale else panel.yaxis
    low, high = 0.85 * min(known), 1.2 * max(known)
    shown = [tick for tick in TICKS if low <= tick <= high]
    axis.set_ticks(shown, [f"{tick:g}×" for tick in shown])
    axis.set_ticks([], minor=True)
    (panel.set_xlim if axis is panel.xaxis else panel.set_ylim)(low, high)


def _legend(figure: Any, panels: Any) -> None:
    lines = {entry.get_label(): entry for panel in panels.flat for entry in panel.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines), frameon=False)


def _save(pyplot: Any, figure: Any, file: Path) -> None:
    figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def main() -> None:
    *tables, file = map(Path, sys.argv[1:])
    if [table.stem for table in tables] == ["engines"]:
        draw_engines(engines_in(tables[0]), file)
    else:
        draw_ratios({table.stem: ratios_of(table) for table in tables}, file)


if __name__ == "__main__":
    main()
