"""Cells of docs/guides/recurrences.md, each in a program of its own, for their pictures."""

import rnngraph as rg

CELLS = {
    "min_gru": rg.MinGRUCell(8),
    "min_lstm": rg.MinLSTMCell(8),
    "lru": rg.LRUCell(8),
    "rg_lru": rg.RGLRUCell(8),
    "s6": rg.S6Cell(8, state_dim=4),
    "ssd": rg.SSDCell(2, 4, state_dim=4),
    "gated_linear_attention": rg.GatedLinearAttentionCell(2, 4),
    "delta_net": rg.DeltaNetCell(2, 4),
    "gated_delta_net": rg.GatedDeltaNetCell(2, 4),
    "rwkv7": rg.RWKV7Cell(2, 4, 2, 2, 2),
    "slstm": rg.SLSTMCell(2, 4),
    "mlstm": rg.MLSTMCell(2, 4),
}


def declared(cell: rg.Cell) -> rg.Program:
    """Compile a cell over time. Its input has the parts that the cell declares, or is a single array."""
    parts = getattr(cell, "parts", dict)() or {"x": (8,)}
    inputs = {name: rg.placeholder(name, shape=(None, None, *shape)) for name, shape in parts.items()}
    y, _ = rg.dynamic_rnn(cell, inputs if len(inputs) > 1 else inputs["x"])
    return rg.compile({"y": y}, target="x86-64-v3")


programs = {name: declared(cell) for name, cell in CELLS.items()}
