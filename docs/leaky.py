"""Small cell that docs/reading.md follows from its declaration to its assembly."""

import rnngraph as rg


class LeakyCell(rg.Cell):
    """Units that move a part of the way to tanh(x W + h U + b) at every step."""

    def __init__(self, num_units, rate):
        self.num_units, self.rate = num_units, rate

    def state(self):
        return {"h": self.num_units}

    def step(self, p, x, state):
        n, h = self.num_units, state["h"]
        drive = x @ p.kernel("w", (x.width, n)) + h @ p.kernel("u", (n, n)) + p.bias("b", (n,))
        goal = rg.tanh(drive)
        h = h + self.rate * (goal - h)
        return h, {"h": h}


x = rg.placeholder("x", shape=(None, None, 3))
cell = rg.DropoutWrapper(LeakyCell(8, rate=0.25), input_keep_prob=0.5)
outputs, state = rg.dynamic_rnn(cell, x)
program = rg.compile({"outputs": outputs, "state": state}, target="x86-64-v3")
