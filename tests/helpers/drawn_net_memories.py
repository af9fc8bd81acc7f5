"""Parts of drawn nets that are loops with a matrix state, a memory, or attention."""

from __future__ import annotations

from drawn_net_loops import first_of, loop
from drawn_nets import HEADS, Net


def _matrix(d: Net) -> None:
    """Add a loop whose state is a matrix for each head: linear attention, retention or a delta rule."""
    n, k = d.next_width(), 3
    e = n // HEADS
    wk, wq, wv, wb = (
        d.linear(d.width, HEADS * k),
        d.linear(d.width, HEADS * k),
        d.linear(d.width, n),
        d.linear(d.width, HEADS),
    )
    decay = d.one(
        "0.9", f"torch.sigmoid({d.parameter(HEADS, 1, 1)})", f"torch.sigmoid({wb}(u)).view(-1, {HEADS}, 1, 1)"
    )
    parts = (
        f"k = F.normalize({wk}(u).view(-1, {HEADS}, {k}), dim=-1)\nq = {wq}(u).view(-1, {HEADS}, {k})\n"
        f"v = {wv}(u).view(-1, {HEADS}, {e})\n"
    )
    new = d.one(
        f"h = {decay} * h + k.unsqueeze(-1) * v.unsqueeze(-2)",
        f"h = {decay} * h + torch.einsum('bhk,bhv->bhkv', k, v)",
        f"old = torch.einsum('bhkv,bhk->bhv', h, k)\nb = torch.sigmoid({wb}(u)).unsqueeze(-1)\n"
        "h = h + k[..., None] * (b * (v - old))[:, :, None]",
        f"h = {decay} * (h - k[..., None] * (k[:, :, None] @ h)) + k[..., None] @ v[:, :, None]",
    )
    read = d.one(
        "(q.unsqueeze(-2) @ h).squeeze(-2)", "torch.einsum('bhk,bhkv->bhv', q, h)", "(h * q[..., None]).sum(-2)"
    )
    loop(d, first_of(d, HEADS, k, e), f"{parts}{new}\ny = {read}", f"y.reshape(-1, {n})", n)


def _selective(d: Net) -> None:
    """Add a loop of a selective state space, which has a state for each channel."""
    n, s = d.width, 3
    wd, wb, a = d.linear(n, n), d.linear(n, 2 * s), d.parameter(n, s)
    step = (
        f"dt = F.softplus({wd}(u))\nb, c = {wb}(u).split([{s}, {s}], dim=-1)\n"
        f"h = torch.exp(-dt.unsqueeze(-1) * torch.exp({a})) * h + (dt * u).unsqueeze(-1) * b.unsqueeze(1)"
    )
    read = d.one(
        "(h * c.unsqueeze(1)).sum(-1)", "torch.einsum('bds,bs->bd', h, c)", "(h @ c.unsqueeze(-1)).squeeze(-1)"
    )
    step += f"\ny = {read}"
    loop(d, first_of(d, n, s), step, d.one("y", f"y + u * {d.parameter(n)}"), n)


def _attending(d: Net) -> None:
    """Add a cell that attends to all steps."""
    n = d.next_width()
    cell, q = d.layer(f"nn.GRUCell({2 * d.width}, {n})"), d.linear(n, d.width)
    wa, v = d.linear(d.width + n, 5), d.linear(5, 1, bias=False)
    scores = d.one(
        f"torch.softmax((x * {q}(h)[:, None]).sum(-1), -1)",
        f"torch.softmax(torch.bmm(x, {q}(h).unsqueeze(2)).squeeze(2), dim=1)",
        f"F.softmax({v}(torch.tanh({wa}(torch.cat([x, h.unsqueeze(1).expand(-1, x.size(1), -1)], 2)))).squeeze(2), 1)",
        f"F.softmax({v}(torch.tanh({wa}(torch.cat((x, h[:, None].repeat(1, x.shape[1], 1)), -1))))[..., 0], -1)",
    )
    seen = d.one(
        "torch.bmm(w.unsqueeze(1), x).squeeze(1)", "(w.unsqueeze(-1) * x).sum(1)", "torch.einsum('bt,btc->bc', w, x)"
    )
    loop(d, first_of(d, n), f"w = {scores}\nh = {cell}(torch.cat([u, {seen}], 1), h)", "h", n)


def _fast_weights(d: Net) -> None:
    n = d.next_width()
    w, r, norm = d.linear(d.width, n), d.linear(n, n), d.layer(f"nn.LayerNorm({n})")
    step = (
        f"a, m = h\n"
        f"m = 0.9 * m + 0.1 * {d.one('torch.bmm(a.unsqueeze(2), a.unsqueeze(1))', 'a[:, :, None] * a[:, None]')}\n"
        f"z = {w}(u) + {r}(a)\na = torch.tanh({norm}(z + (m @ z.unsqueeze(-1)).squeeze(-1)))\nh = (a, m)"
    )
    loop(d, f"({first_of(d, n)}, {d.zeros('x.size(0)', n, n)})", step, "a", n)


def _memory(d: Net) -> None:
    """Add a loop that reads and writes a memory by attention."""
    n, m = d.next_width(), 3
    cell, key, erase = d.layer(f"nn.GRUCell({d.width + m}, {n})"), d.linear(n, m), d.linear(n, 2 * m)
    step = (
        f"s, mem = h\nw = F.softmax(torch.einsum('bnm,bm->bn', mem, {key}(s)), dim=1)\n"
        "r = (w.unsqueeze(2) * mem).sum(1)\n"
        f"s = {cell}(torch.cat([u, r], -1), s)\ne, a = {erase}(s).chunk(2, 1)\n"
        "w = w.unsqueeze(2)\nmem = mem * (1 - w * torch.sigmoid(e).unsqueeze(1)) + w * torch.tanh(a).unsqueeze(1)\n"
        "h = (s, mem)"
    )
    loop(d, f"({first_of(d, n)}, {first_of(d, 4, m)})", step, "s", n)


def _growing(d: Net) -> None:
    """Add a loop whose steps attend to all earlier outputs."""
    n = d.next_width()
    cell = d.layer(f"nn.GRUCell({d.width}, {n})")
    d.add(
        f"h, seen = {d.zeros('x.size(0)', n)}, []\nfor u in x.unbind(1):\n    h = {cell}(u, h)\n    seen.append(h)\n"
        "    past = torch.stack(seen, 1)\n"
        "    h = h + (torch.softmax((past * h[:, None]).sum(-1), -1)[..., None] * past).sum(1)\n"
        "x = torch.stack(seen, 1)"
    )
    d.width = n


MEMORIES = (_matrix, _matrix, _selective, _attending, _fast_weights, _memory, _growing)
