"""A pool of streams: handles, steps of some, and frames that callers wait for."""

import asyncio
from concurrent.futures import Future

import numpy as np

import rnngraph as rg

x = rg.placeholder("x", (None, None, 3))
knob = rg.placeholder("knob", ())
outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x * knob)
program = rg.compile({"y": rg.dense(outputs, 1)})
pool: rg.StreamPool = program.inference.streams(capacity=4)
one: rg.StreamHandle = pool.open(knob=0.5)
other = pool.open({knob: 0.25}, state=pool.state(one))
given: dict[rg.StreamHandle, rg.Result] = pool.step({one: {"x": np.zeros(3)}, other: {x: np.ones(3)}})
joined: rg.Result = pool.step_rows([one, other], x=np.zeros((2, 3)))
moved = pool.open({"knob": 1.0}, state=pool.state_bytes(one))
with pool.serve(max_batch=2, max_wait=0.0) as serving:
    later: Future[rg.Result] = pool.submit(moved, x=np.zeros(3))

    async def answer() -> rg.Result:
        return await pool.step_async(moved, x=np.zeros(3))

    print(serving.is_running, later.result()["y"].shape, asyncio.run(answer())["y"].shape)
pool.reset(other)
pool.close(other)
print(len(pool), pool.capacity, pool.rate + pool.delay, given[one]["y"].shape, joined["y"].shape)
try:
    pool.step({other: {"x": np.zeros(3)}})
except rg.ArgumentError as error:
    print(error.what)
