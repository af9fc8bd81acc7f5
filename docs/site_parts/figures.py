"""Write the tables of ``README.md`` and of the pages in ``docs/benchmarks`` from ``docs/figures``.

Run ``python docs/site_parts/figures.py``. ``python benchmarks/run.py --csv docs/figures`` writes the source, a file for
each group that it measures; figures of other machines are in subfolders. ``tests/test_site.py`` compares the pages with
the figures.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "figures"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs" / "benchmarks").glob("*.md")))

IN_WORDS = (
    ("LSTM of 64 units, one row, one step", "inference", "LSTM B1 T1 I64 H64"),
    ("RNN of 3 × 100 units, one row", "inference", "RNN B1 T100 I40 H100 ×3"),
    ("LSTM of 128 units, one row", "inference", "LSTM B1 T100 I128 H128"),
    ("GRU of 128 units, one row", "inference", "GRU B1 T100 I128 H128"),
    ("RNN of 3 × 100 units, 32 rows", "inference", "RNN B32 T100 I100 H100 ×3"),
    ("LSTM of 3 × 256 units, 32 rows", "inference", "LSTM B32 T100 I256 H256 ×3"),
    ("the loss and all gradients: RNN of 3 × 100 units, one row", "training", "RNN B1 T100 I40 H100 ×3"),
    ("the loss and all gradients: LSTM of 128 units, one row", "training", "LSTM B1 T100 I128 H128"),
    ("the loss and all gradients: LSTM of 3 × 256 units, 32 rows", "training", "LSTM B32 T100 I256 H256 ×3"),
)
"""Rows of the README's table: their names there, and the place of their figures."""

PEERS = ("onnxruntime", "torch", "jax")


def table(name: str) -> list[list[str]]:
    """Return the rows of a file of figures. The first row has the columns' heads."""
    with (FIGURES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def in_words() -> list[list[str]]:
    """Return the README's table: ratios of peers' times. It has no floor, as one step's call is mostly Python."""
    files = {name: table(name) for name in ("inference", "training")}
    heads = next(iter(files.values()))[0]
    titles = [next(head for head in heads if head.startswith(peer)).rpartition(".")[0] for peer in PEERS]
    rows = [["workload", *(title.replace("jax", "JAX") for title in titles), "rnngraph over the machine's floor"]]
    for words, name, workload in IN_WORDS:
        heads, *figures = files[name]
        cells = next(dict(zip(heads, row, strict=True)) for row in figures if row[0] == workload)
        ratios = [next((ratio_of(cell) for head, cell in cells.items() if head.startswith(peer)), "") for peer in PEERS]
        rows.append([words, *ratios, "" if " T1 " in workload else cells["of floor"]])
    return rows


def ratio_of(cell: str) -> str:
    """Return the ratio in a cell: ``1.43`` in ``0.551 (1.43×)``."""
    match = re.search(r"\(([\d.]+)×\)", cell)
    return match[1] if match else ""


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"| {cell} " for cell in row) + "|" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def text_of(page: Path) -> str:
    """Return the text of a page, with the tables that its marks name filled in."""

    def written(mark: re.Match[str]) -> str:
        if mark[1] == "readme":
            return f"<!-- table: readme -->\n\n{markdown(in_words())}\n\n<!-- end of table -->"
        link = f"[as data](../figures/{mark[1]}.csv)"
        return f"<!-- table: {mark[1]} -->\n\n{markdown(table(mark[1]))}\n\n{link}\n\n<!-- end of table -->"

    text = page.read_text(encoding="utf-8")
    return re.sub(r"<!-- table: ([\w/-]+) -->.*?<!-- end of table -->", written, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(text_of(page), encoding="utf-8")
