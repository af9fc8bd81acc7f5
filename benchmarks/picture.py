"""Pictures of benchmarks.

One is of the sweep: time against hidden size, batch and length on logarithmic axes. Another compares trained nets with
their own engines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from floors import FLOOR, PRODUCTS
from groups import Record
from timing import Times, median, ratio

COLORS = {"rnngraph": "C3", "onnxruntime": "C0", "torch": "C1", "jax": "C2", "tensorflow": "C4"}
FLOORS = {FLOOR: "--", PRODUCTS: ":"}


def draw(found: list[Record], file: Path) -> None:
    """One panel a cell and axis; a line a contender, the floor dashed, that of products dotted. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells = list(dict.fromkeys(record["cell"] for record in found))
    axes = list(dict.fromkeys(record["axis"] for record in found))
    size = (4.0 * len(axes), 3.4 * len(cells) + 0.4)
    figure, panels = pyplot.subplots(len(cells), len(axes), figsize=size, squeeze=False, layout="constrained")
    for cell, line in zip(cells, panels, strict=True):
        for axis, panel in zip(axes, line, strict=True):
            chosen = [record for record in found if record["cell"] == cell and record["axis"] == axis]
            if not chosen:  # of a run of some rows
                panel.set_axis_off()
                continue
            _panel(panel, sorted(chosen, key=lambda record: record["value"]))
            panel.set_title(f"{cell}: {axis}", fontsize=10)
        line[0].set_ylabel("milliseconds a call")
    lines = {entry.get_label(): entry for panel in panels.flat for entry in panel.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines), frameon=False)
    figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def _panel(panel: Any, chosen: list[Record]) -> None:
    names = list(dict.fromkeys(name for record in chosen for name in record["times"]))
    for name in sorted(names, key=lambda name: name == "rnngraph"):  # ours on top
        points: list[tuple[int, Times]] = [(r["value"], r["times"]) for r in chosen if name in r["times"]]
        places, heights = [value for value, _ in points], [median(times, name) * 1e3 for _, times in points]
        if name in FLOORS:
            panel.plot(places, heights, color="black", linestyle=FLOORS[name], linewidth=1, label=name)
        else:
            panel.plot(places, heights, color=COLORS.get(name), marker=".", linewidth=1.2, label=name)
    panel.set_xscale("log", base=2 if max(r["value"] for r in chosen) < 5000 else 10)
    panel.set_yscale("log")
    panel.grid(alpha=0.3)


def draw_engines(found: list[Record], file: Path) -> None:
    """A bar a net: how many times as long its own engine takes, on a logarithmic axis. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    factors = {f"{r['row']}\n{r['engine']}": ratio(r["times"], "engine", "rnngraph") for r in found}
    names = sorted(factors, key=factors.__getitem__)
    values = [factors[name] for name in names]
    figure, axes = pyplot.subplots(figsize=(7.5, 0.42 * len(names) + 0.8), layout="constrained")
    bars = axes.barh(names, values, color=COLORS["rnngraph"], height=0.6)
    axes.bar_label(
        bars, [f"{value:,.0f}×" if value >= 100 else f"{value:.1f}×" for value in values], padding=3, fontsize=8
    )
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(min(0.9, *values), 4.0 * max(values))
    axes.set_xlabel("how many times as long its own engine takes")
    axes.tick_params(axis="y", labelsize=8)
    figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)
