"""A stream: step by step and in chunks, with its state kept; errors are caught by their kind."""

import tempfile

import numpy as np

import rnngraph as rg

x = rg.placeholder("x", (None, None, 3))
outputs, state = rg.dynamic_rnn(rg.LSTMCell(4, num_proj=2), x)
program = rg.compile({"y": rg.dense(outputs, 1)})
stream: rg.Stream = program.inference.stream(batch=2)
first: rg.Result = stream.step(x=np.zeros((2, 3)))
rest = stream.process({x: np.zeros((2, 5, 3))}, rows=[0])
kept = stream.state
stream.reset(rows=[1])
stream.state = kept
stream.load_state_bytes(stream.state_bytes())
tail: rg.Result = stream.flush()
late: int = stream.rate * stream.delay
h = rg.placeholder("h", (1, None, 4))
after = rg.tanh(rg.dense(x[:, 0], 4) + h[0])
carrying: rg.Program = rg.compile({"y": after * 2.0, "next": after[None]}, states={"next": h})
print(carrying.inference.stream().state)
with tempfile.TemporaryDirectory() as folder:
    written = program.inference.export(folder, form="sequence", batch=None, link=False)
    print(written.object_size, sorted(written.files))
    print(program.inference.export(folder, "several", rows=4, link=False).state_size)
print(late, tail["y"].shape, first["y"].shape, rest["y"].shape, kept.c.shape)
try:
    stream.step(x=np.zeros((3, 3)))
except rg.ShapeError as error:
    print(error.what, error.where)
except (rg.NameLookupError, rg.RnnGraphError) as error:
    print(error)
