"""Parts of drawn nets that are loops over steps."""

from __future__ import annotations

import re

from drawn_nets import HEADS, Net

# Loops ------------------------------------------------------------------------------------------------

FORWARD = (
    "for t in range(x.size(1)):\n    u = x[:, t]",
    "for t in range(x.shape[1]):\n    u = x[:, t, :]",
    "T = x.size(1)\nfor t in range(T):\n    u = x.select(1, t)",
    "for u in x.unbind(1):",
    "for u in torch.unbind(x, dim=1):",
    "for t, u in enumerate(x.unbind(1)):",
    "for u in x.transpose(0, 1):",
    "for t, u in enumerate(x.permute(1, 0, 2)):",
    "for u in x.split(1, dim=1):\n    u = u.squeeze(1)",
    "for u in x.chunk(x.size(1), dim=1):\n    u = u.squeeze(1)",
    "for u in torch.split(x, 1, 1):\n    u = u[:, 0]",
    "steps = [x[:, t] for t in range(x.size(1))]\nfor u in steps:",
    "xs = x.transpose(0, 1).contiguous()\nfor t in range(xs.size(0)):\n    u = xs[t]",
    "t = -1\nwhile t < x.size(1) - 1:\n    t += 1\n    u = x[:, t]",
)
BACKWARD = (
    "for t in reversed(range(x.size(1))):\n    u = x[:, t]",
    "for t in range(x.size(1) - 1, -1, -1):\n    u = x[:, t]",
    "for u in reversed(x.unbind(1)):",
    "for u in x.flip(1).unbind(1):",
    "for u in x.unbind(1)[::-1]:",
)
JOINED = (
    ("outputs.append({y})", "x = torch.stack(outputs, 1)"),
    ("outputs.append({y})", "x = torch.stack(outputs, dim=-2)"),
    ("outputs.append({y})", "x = torch.stack(outputs).transpose(0, 1)"),
    ("outputs.append({y}.unsqueeze(1))", "x = torch.cat(outputs, 1)"),
    ("outputs.append({y}[:, None])", "x = torch.cat(outputs, dim=1)"),
    ("outputs += [{y}]", "x = torch.stack(outputs, 1).contiguous()"),
    ("outputs.append({y})", "x = torch.cat(outputs, 1).view(x.size(0), x.size(1), -1)"),
    ("outputs.append({y})", "x = torch.cat([y.unsqueeze(0) for y in outputs], 0).permute(1, 0, 2)"),
)
REVERSED = (
    ("outputs.append({y})", "outputs.reverse()\nx = torch.stack(outputs, 1)"),
    ("outputs.append({y})", "x = torch.stack(outputs[::-1], 1)"),
    ("outputs.insert(0, {y})", "x = torch.stack(outputs, 1)"),
    ("outputs.append({y})", "x = torch.stack(outputs, 1).flip(1)"),
    ("outputs = [{y}] + outputs", "x = torch.stack(outputs, dim=1)"),
)


def indented(text: str, by: int = 1) -> str:
    return "\n".join("    " * by + line for line in text.strip("\n").split("\n"))


def loop(d: Net, first: str, step: str, emitted: str, width: int) -> None:
    """Add a loop over steps.

    Args:
        first: Initial state.
        step: Lines that read ``u`` and the state ``h``, and assign the new state.
        emitted: Expression of the output of a step.
        width: Width of the output.
    """
    is_backward = d.draw.random() < 0.15
    head = d.one(*(BACKWARD if is_backward else FORWARD))
    put, joined = d.draw.choice(REVERSED if is_backward else JOINED)
    begin = "outputs = []"
    if "t in" in head and d.draw.random() < 0.15 and "steps" not in head:  # results are written into one tensor
        begin = f"outputs = {d.zeros('x.size(0)', 'x.size(1)', width)}"
        put, joined = "outputs[:, t] = {y}", "x = outputs"
        if "flip" in head:
            put, joined = "outputs[:, t] = {y}", "x = outputs"
    if d.draw.random() < 0.25:
        d.add(f"def step(u, h):\n{indented(step)}\n    return h, {emitted}\n")
        step, emitted = "h, y = step(u, h)", "y"
    elif d.draw.random() < 0.3:
        step, emitted = f"{step}\ny = {emitted}", "y"
    put = put.replace("{y}", emitted if emitted.isidentifier() else f"({emitted})")
    d.add(f"{begin}\nh = {first}\n{head}\n{indented(step)}\n{indented(put)}\n{joined}")
    d.width = width


def first_of(d: Net, *shape: int) -> str:
    """Return an expression of an initial state [batch, *shape]."""
    sizes = ", ".join(map(str, shape))
    rows = d.one("x.size(0)", "x.shape[0]", "len(x)")
    match d.one("zeros", "zeros", "zeros", "ones", "learned", "repeated", "full", "like", "computed"):
        case "ones":
            return f"torch.ones({rows}, {sizes}{d.like()})"
        case "learned":
            return f"{d.parameter(1, *shape)}.expand({rows}, {', '.join('-1' for _ in shape)})"
        case "repeated":
            return f"{d.parameter(*shape)}.unsqueeze(0).repeat({rows}, {', '.join('1' for _ in shape)})"
        case "full":
            return f"torch.full(({rows}, {sizes}), 0.3{d.like()})"
        case "like" if len(shape) == 1 and shape[0] <= d.width:
            return f"torch.zeros_like(x[:, 0, :{shape[0]}])"
        case "computed" if len(shape) == 1:
            return f"torch.tanh({d.linear(d.width, shape[0])}(x[:, 0]))"
    return d.zeros(rows, *shape)


def _elman(d: Net) -> None:
    n = d.next_width()
    w, r = d.linear(d.width, n), d.linear(n, n, bias=False)
    drop, norm = d.layer("nn.Dropout(0.2)"), d.layer(f"nn.LayerNorm({n})")
    new = d.one(
        f"torch.tanh({w}(u) + {r}(h))",
        f"torch.relu({norm}({w}(u) + {r}(h)))",
        f"{drop}(torch.tanh({w}(u) + {r}(h)))",
        f"0.5 * h + 0.5 * torch.tanh({w}(u) + {r}(h))",
        f"h + 0.1 * torch.tanh({w}(u) + h @ ({r}.weight - {r}.weight.t()))",
        f"F.dropout(F.elu({w}(u) + {r}(h)), 0.1, self.training)",
    )
    loop(d, first_of(d, n), f"h = {new}", d.one("h", f"{drop}(h)", f"torch.sigmoid({norm}(h))"), n)


def _gru(d: Net) -> None:
    n = d.next_width()
    w, r = d.linear(d.width, 3 * n), d.linear(n, 3 * n)
    step = (
        f"a, b, c = {w}(u).{d.one('chunk(3, -1)', f'split({n}, dim=1)', 'chunk(3, dim=1)')}\n"
        f"i, j, k = {r}(h).chunk(3, 1)\nz = torch.sigmoid(b + j)\n"
        "n = torch.tanh(c + torch.sigmoid(a + i) * k)\nh = (1 - z) * n + z * h"
    )
    loop(d, first_of(d, n), step, "h", n)


def _lstm(d: Net) -> None:
    n = d.next_width()
    w, norm = d.linear(d.width + n, 4 * n), d.layer(f"nn.LayerNorm({n})")
    kind = d.one("tuple", "dict", "list")
    state, read = {
        "tuple": ("({0}, {1})", "a, c = h"),
        "dict": ("{{'a': {0}, 'c': {1}}}", "a, c = h['a'], h['c']"),
        "list": ("[{0}, {1}]", "a, c = h[0], h[1]"),
    }[kind]
    gates = d.one(
        f"i, f, g, o = torch.chunk({w}(torch.cat([u, a], -1)), 4, dim=-1)",
        f"z = {w}(torch.cat((u, a), 1))\n"
        f"i, f, g, o = z[:, :{n}], z[:, {n}:{2 * n}], z[:, {2 * n}:{3 * n}], z[:, {3 * n}:]",
        f"i, f, g, o = {w}(torch.cat([u, a], 1)).view(-1, 4, {n}).unbind(1)",
    )
    step = f"{read}\n{gates}\nc = torch.sigmoid(f + 1) * c + i.sigmoid() * torch.tanh(g)\n"
    step += d.one("a = o.sigmoid() * torch.tanh(c)", f"a = torch.sigmoid(o) * torch.tanh({norm}(c))")
    loop(d, state.format(first_of(d, n), d.zeros("x.size(0)", n)), f"{step}\nh = {state.format('a', 'c')}", "a", n)


def _heads(d: Net) -> None:
    n = d.next_width()
    e, w = n // HEADS, d.linear(d.width, n)
    p, q = d.parameter(HEADS, e, e), d.parameter(HEADS, 1)
    norm = d.layer(f"nn.GroupNorm({HEADS}, {n})")
    new = d.one(
        f"torch.einsum('bhi,hij->bhj', h, {p})",
        f"torch.matmul(h.unsqueeze(2), {p}).squeeze(2)",
        f"(h[..., None, :] @ {p})[..., 0, :]",
        f"h * {q}",
        f"torch.bmm(h.transpose(0, 1), {p}).transpose(0, 1)",
        f"torch.stack([h[:, k] @ {p}[k] for k in range({HEADS})], 1)",
        f"(h.unsqueeze(-1) * {p}).sum(2)",
    )
    read = d.one(
        f"{w}(u).view(-1, {HEADS}, {e})",
        f"{w}(u).reshape(u.size(0), {HEADS}, {e})",
        f"{w}(u).unflatten(-1, ({HEADS}, {e}))",
    )
    out = d.one(f"h.reshape(-1, {n})", "h.flatten(1)", f"{norm}(h.reshape(-1, {n}))", "h.flatten(-2)")
    loop(d, first_of(d, HEADS, e), f"h = torch.tanh({read} + {new})", out, n)


def _average(d: Net) -> None:
    a = d.one("0.3", f"torch.sigmoid({d.parameter(d.width)})")
    d.add(
        d.one(
            f"seen = [x[:, 0]]\nfor t in range(1, x.size(1)):\n    seen.append({a} * x[:, t] + (1 - {a}) * seen[-1])\n"
            "x = torch.stack(seen, 1)",
            f"m = x[:, 0]\nseen = [m]\nfor u in x[:, 1:].unbind(1):\n    m = {a} * u + (1 - {a}) * m\n"
            "    seen.append(m)\n"
            "x = torch.stack(seen, dim=1)",
            "m = x[:, 0, :]\nseen = []\nfor t in range(x.shape[1]):\n    m = torch.lerp(m, x[:, t, :], 0.25)\n"
            "    seen.append(m)\nx = torch.stack(seen, 1)",
        )
    )


def _stacked(d: Net) -> None:
    """Add a loop over the cells of several layers, whose states are a list."""
    n, count = d.next_width(), d.draw.choice((2, 3))
    kind = d.one("GRUCell", "RNNCell", "LSTMCell")
    cells = d.layer(f"nn.ModuleList([nn.{kind}({d.width} if i == 0 else {n}, {n}) for i in range({count})])")
    one = d.zeros("x.size(0)", n)
    if kind == "LSTMCell":
        first = f"[({one}, {one}) for _ in {cells}]"
        step = (
            f"new = []\nfor cell, s in zip({cells}, h):\n    a, c = cell(u, s)\n    new.append((a, c))\n"
            f"    u = a\nh = new"
        )
    else:
        first = d.one(f"[{one} for _ in {cells}]", f"[{one}] * {count}")
        step = d.one(
            f"h = list(h)\nfor i, cell in enumerate({cells}):\n    h[i] = cell(u, h[i])\n    u = h[i]",
            f"new = []\nfor cell, s in zip({cells}, h):\n    u = cell(u, s)\n    new.append(u)\nh = new",
        )
    loop(d, first, step, d.one("u", f"{d.layer('nn.Dropout(0.1)')}(u)"), n)


def _cell(d: Net) -> None:
    n = d.next_width()
    kind = d.one("GRUCell", "LSTMCell", "RNNCell")
    cell, out = d.layer(f"nn.{kind}({d.width}, {n})"), d.linear(n, n)
    first = "None" if d.draw.random() < 0.5 else first_of(d, n)
    if kind == "LSTMCell" and first != "None":
        first = f"({first}, {first_of(d, n)})"
    y = "h[0]" if kind == "LSTMCell" else "h"
    loop(d, first, f"h = {cell}(u, h)", d.one(y, f"torch.tanh({out}({y}))"), n)


def _late_state(d: Net) -> None:
    n = d.next_width()
    w, r = d.linear(d.width, n), d.linear(n, n)
    zeros = re.sub(r"x", "u", d.zeros("x.size(0)", n))
    step = f"if h is None:\n    h = {zeros}\nh = torch.tanh({w}(u) + {r}(h))"
    loop(d, "None", step, "h", n)


def _two_back(d: Net) -> None:
    n = d.next_width()
    w, r, s = d.linear(d.width, n), d.linear(n, n), d.linear(n, n)
    step = f"a, b = h\nh = (torch.tanh({w}(u) + {r}(a) + {s}(b)), a)"
    zeros = d.zeros("x.size(0)", n)
    loop(d, f"({zeros}, {zeros})", step, "h[0]", n)


def _counted(d: Net) -> None:
    """Add a loop whose steps read the step number."""
    n = d.width
    places = d.parameter(64, n)
    d.add(
        d.one(
            "s, seen = 0, []\nfor t in range(x.size(1)):\n    s = s + x[:, t]\n    seen.append(s / (t + 1))\n"
            "x = torch.stack(seen, 1)",
            f"h, seen = {d.zeros('x.size(0)', n)}, []\nfor t in range(x.size(1)):\n"
            f"    h = torch.tanh(0.5 * h + x[:, t] + {places}[t])\n    seen.append(h)\nx = torch.stack(seen, 1)",
            f"h, seen = {d.zeros('x.size(0)', n)}, []\nfor t, u in enumerate(x.unbind(1)):\n"
            "    if t > 0:\n        h = 0.5 * h\n    h = torch.tanh(h + u)\n    seen.append(h)\n"
            "x = torch.stack(seen, 1)",
            f"h, seen = {d.zeros('x.size(0)', n)}, []\nfor t, u in enumerate(x.unbind(1)):\n"
            "    h = 0.9 * h + u\n    seen.append(h / (1 - 0.9 ** (t + 1)))\nx = torch.stack(seen, 1)",
        )
    )


def _both_ways(d: Net) -> None:
    """Add a loop from the first to the last step, and a loop back."""
    n = d.next_width()
    a, b = d.layer(f"nn.GRUCell({d.width}, {n})"), d.layer(f"nn.GRUCell({d.width}, {n})")
    zeros = d.zeros("x.size(0)", n)
    joined = d.one("torch.cat([forth, back], -1)", "forth + back")
    d.add(
        f"h, forth = {zeros}, []\nfor t in range(x.size(1)):\n    h = {a}(x[:, t], h)\n    forth.append(h)\n"
        f"h, back = {zeros}, []\nfor t in reversed(range(x.size(1))):\n    h = {b}(x[:, t], h)\n    back.insert(0, h)\n"
        f"forth, back = torch.stack(forth, 1), torch.stack(back, 1)\nx = {joined}"
    )
    d.width = 2 * n if "cat" in joined else n


def _fed_back(d: Net) -> None:
    """Add a loop whose cell reads the output of the step before."""
    n = d.next_width()
    cell, out = d.layer(f"nn.LSTMCell({d.width + 3}, {n})"), d.linear(n, 3)
    zeros = d.zeros("x.size(0)", n)
    new = d.one(f"torch.tanh({out}(s[0]))", f"F.softmax({out}(s[0]), -1)")
    step = f"s, y = h\ns = {cell}(torch.cat([u, y], 1), s)\ny = {new}\nh = (s, y)"
    loop(d, f"(({zeros}, {zeros}), {d.zeros('x.size(0)', 3)})", step, "s[0]", n)


def _stabilised(d: Net) -> None:
    """Add a loop with exponential gates, whose state contains the maximum of the gates' logarithms."""
    n = d.next_width()
    w = d.linear(d.width, 4 * n)
    step = (
        f"c, n, m = h\nz, i, f, o = {w}(u).chunk(4, 1)\n"
        f"k = torch.{d.one('maximum', 'max')}(F.logsigmoid(f) + m, i)\n"
        "a, b = torch.exp(i - k), torch.exp(F.logsigmoid(f) + m - k)\n"
        "c, n, m = b * c + a * torch.tanh(z), b * n + a, k\n"
        "h = (c, n, m)"
    )
    zeros = d.zeros("x.size(0)", n)
    loop(d, f"({zeros}, {zeros}, {zeros})", step, "torch.sigmoid(o) * c / n.clamp(min=1e-6)", n)


def _oscillating(d: Net) -> None:
    n = d.next_width()
    w, r = d.linear(d.width, n), d.linear(2 * n, n)
    step = (
        f"a, z = h\nz = z + 0.1 * (torch.tanh({w}(u) + {r}(torch.cat([a, z], 1))) - a - 0.5 * z)\n"
        f"a = a + 0.1 * z\nh = (a, z)"
    )
    loop(d, f"({first_of(d, n)}, {first_of(d, n)})", step, "a", n)


def _solved(d: Net) -> None:
    """Add a loop whose steps integrate a differential equation in several rounds."""
    n = d.next_width()
    w, tau = d.linear(d.width + n, n), d.parameter(n)
    step = d.one(
        f"for _ in range(4):\n    h = h + 0.1 * (torch.tanh({w}(torch.cat([u, h], -1))) - F.softplus({tau}) * h)",
        f"for k in range(3):\n    f = torch.sigmoid({w}(torch.cat([u, h], 1)))\n"
        f"    h = (h + 0.2 * f) / (1 + 0.2 * ({tau}.exp() + f))",
    )
    loop(d, first_of(d, n), step, "h", n)


def _every_other(d: Net) -> None:
    """Add a loop that alternates between two cells."""
    n = d.next_width()
    a, b = d.layer(f"nn.GRUCell({d.width}, {n})"), d.layer(f"nn.GRUCell({d.width}, {n})")
    d.add(
        f"h, seen = {d.zeros('x.size(0)', n)}, []\nfor t in range(x.size(1)):\n"
        f"    h = {a}(x[:, t], h) if t % 2 == 0 else {b}(x[:, t], h)\n    seen.append(h)\nx = torch.stack(seen, 1)"
    )
    d.width = n


def _by_chunks(d: Net) -> None:
    """Add a loop over chunks of steps."""
    n = d.next_width()
    rnn = d.layer(f"nn.GRU({d.width}, {n}, batch_first=True)")
    chunks = d.one("x.split(4, 1)", "torch.chunk(x, 3, dim=1)", "[x[:, i : i + 4] for i in range(0, x.size(1), 4)]")
    d.add(
        f"h, seen = None, []\nfor part in {chunks}:\n    y, h = {rnn}(part, h)\n    seen.append(y)\n"
        "x = torch.cat(seen, 1)"
    )
    d.width = n


def _final(d: Net) -> None:
    """Add a loop whose last state scales all steps."""
    n = d.width
    cell, w = d.layer(f"nn.GRUCell({n}, {n})"), d.linear(n, n)
    d.add(
        f"h = {first_of(d, n)}\nfor t in range(x.size(1)):\n    h = {cell}(x[:, t], h)\n"
        + d.one(
            f"x = x * torch.sigmoid({w}(h)).unsqueeze(1)",
            "x = torch.cat([x, h[:, None].expand(-1, x.size(1), -1)], -1)",
        )
    )
    d.width = 2 * n if "cat" in d.lines[-1] else n


LOOPS = (
    _elman,
    _elman,
    _gru,
    _lstm,
    _heads,
    _heads,
    _average,
    _stacked,
    _cell,
    _late_state,
    _two_back,
    _counted,
    _both_ways,
    _fed_back,
    _stabilised,
    _oscillating,
    _solved,
    _every_other,
    _by_chunks,
    _final,
)
