"""Parts of drawn nets without loops over steps."""

from __future__ import annotations

from drawn_nets import HEADS, Net


def _layers(d: Net) -> None:
    n, kind = d.next_width(), d.one("GRU", "LSTM", "RNN")
    two, count = d.draw.random() < 0.4, d.draw.choice((1, 1, 2))
    options = f", {count}, batch_first=True{', bidirectional=True' if two else ''}"
    rnn = d.layer(f"nn.{kind}({d.width}, {n}{options})")
    state = f"torch.zeros({count * (2 if two else 1)}, x.size(0), {n}, dtype=x.dtype)"
    if kind == "LSTM":
        state = f"({state}, {state})"
    d.add(
        d.one(
            f"x, _ = {rnn}(x)",
            f"x = {rnn}(x)[0]",
            f"x, h = {rnn}(x, {state})",
            f"{rnn}.flatten_parameters()\nx, h = {rnn}(x)",
        )
    )
    d.width = 2 * n if two else n
    if two and d.draw.random() < 0.5:
        d.add(
            d.one(
                f"x = x[..., :{n}] + x[:, :, {n}:]",
                f"x = x.view(x.size(0), x.size(1), 2, {n}).sum(2)",
                "x = torch.add(*x.chunk(2, dim=-1))",
            )
        )
        d.width = n


def _time_major(d: Net) -> None:
    n = d.next_width()
    rnn = d.layer(f"nn.{d.one('GRU', 'LSTM')}({d.width}, {n}, bidirectional={d.draw.random() < 0.5})")
    d.add(f"y, _ = {rnn}(x.permute(1, 0, 2))\nx = y.permute(1, 0, 2)")
    d.width = n * (2 if "True" in d.inits[-1] else 1)


def _encoded(d: Net) -> None:
    """Add an encoder whose last state starts or feeds a decoder."""
    n = d.next_width()
    a, b = d.layer(f"nn.LSTM({d.width}, {n}, batch_first=True)"), d.layer(f"nn.LSTM({n}, {n}, batch_first=True)")
    d.add(
        f"_, (h, c) = {a}(x)\n"
        + d.one(
            f"x, _ = {b}(h[-1].unsqueeze(1).repeat(1, x.size(1), 1))",
            f"x, _ = {b}(h.transpose(0, 1).expand(-1, x.size(1), -1), (h, c))",
        )
    )
    d.width = n


def _merged(d: Net) -> None:
    n = d.next_width()
    w, norm = d.linear(d.width, n), d.layer(f"nn.BatchNorm1d({n})")
    act = d.one("torch.relu", "F.gelu", "torch.tanh", norm)
    texts = [
        f"b, t, _ = x.shape\nx = {act}({w}(x.reshape(-1, x.size(-1)))).view(b, t, -1)",
        f"x = {act}({w}(x.flatten(0, 1))).unflatten(0, (x.size(0), x.size(1)))",
        f"y = x.transpose(0, 1)\nt, b, _ = y.shape\n"
        f"x = {act}({w}(y.reshape(t * b, -1))).view(t, b, -1).transpose(0, 1)",
        f"b, t, c = x.shape\nx = {act}({w}(x.contiguous().view(b * t, c))).reshape(b, t, {n})",
        f"size = x.size()\nx = {act}({w}(x.contiguous().view(-1, size[-1]))).view(*size[:-1], {n})",
        f"x = {act}({w}(x.reshape(-1, {d.width}))).reshape(x.shape[0], -1, {n})",
        f"y = {act}({w}(x.reshape(x.size(0) * x.size(1), {d.width})))\nx = y.view(x.size(0), x.size(1), y.size(-1))",
    ]
    if d.with_einops:
        texts += [
            f"y = rearrange(x, 'b t c -> (b t) c')\nx = rearrange({act}({w}(y)), '(b t) c -> b t c', b=x.shape[0])",
            f"y = rearrange(x, 'b t c -> (t b) c')\nx = rearrange({act}({w}(y)), '(t b) c -> b t c', t=x.size(1))",
        ]
    d.add(d.one(*texts))
    d.width = n


def _norms(d: Net) -> None:
    n, each = d.width, d.width // HEADS
    group, norm = d.layer(f"nn.GroupNorm({HEADS}, {n})"), d.layer(f"nn.LayerNorm({each})")
    batch, g = d.layer(f"nn.BatchNorm1d({n})"), d.parameter(n)
    d.add(
        d.one(
            f"b, t, c = x.shape\nx = {group}(x.reshape(b * t, c)).view(b, t, c)",
            f"x = {group}(x.transpose(1, 2)).transpose(1, 2)",
            f"b, t, c = x.shape\nx = {norm}(x.reshape(b, t, {HEADS}, {each})).flatten(2)",
            f"b, t, c = x.shape\nx = F.normalize(x.reshape(b * t * {HEADS}, {each}), dim=-1).reshape(b, t, c)",
            f"x = {batch}(x.permute(0, 2, 1)).permute(0, 2, 1)",
            f"x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * {g}",
            "x = x / x.norm(dim=-1, keepdim=True).clamp(min=1e-3)",
            f"x = F.layer_norm(x, ({n},), {g})",
            f"b, t, c = x.shape\nx = F.group_norm(x.reshape(-1, c), {HEADS}, {g}, eps=1e-3).view(b, t, c)",
            f"x = F.rms_norm(x.view(*x.shape[:-1], {HEADS}, {each}), ({each},), eps=1e-5).flatten(-2)",
            "x = (x - x.mean((1, 2), keepdim=True)) / (x.std((1, 2), keepdim=True, unbiased=False) + 1e-5)",
        )
    )


def _cumulative_norm(d: Net) -> None:
    n = d.width
    d.add(
        d.one(
            f"count = torch.arange(1, x.size(1) + 1, dtype=x.dtype).view(1, -1, 1) * {n}\n"
            "mean = x.sum(2, keepdim=True).cumsum(1) / count\n"
            "square = x.pow(2).sum(2, keepdim=True).cumsum(1) / count\n"
            "x = (x - mean) / (square - mean ** 2 + 1e-3).sqrt()",
            "x = x.cumsum(1) / (1 + x.abs().cumsum(1))",
            "x = torch.exp(x - torch.logcumsumexp(x, 1))",
            "x = x - torch.cummax(x, 1)[0]",
            "x = x - x.cummax(dim=1).values + x.cummin(dim=1).values",
            "x = torch.cumprod(torch.sigmoid(x), dim=1)",
            "x = torch.cumsum(x, dim=1) / torch.arange(1, x.shape[1] + 1)[None, :, None]",
            "x = x.flip(1).cumsum(1).flip(1) / x.size(1)",
        )
    )


def _pooled(d: Net) -> None:
    n = d.width
    w, v = d.linear(n, n), d.linear(n, 1)
    d.add(
        d.one(
            f"x = x * torch.sigmoid({w}(x.mean(1)))[:, None]",
            f"a = torch.softmax({v}(torch.tanh({w}(x))), dim=1)\nx = x + (a * x).sum(1, keepdim=True)",
            f"a = F.softmax({v}(x).squeeze(-1), dim=-1)\nx = x * torch.bmm(a.unsqueeze(1), x)",
            "x = x * F.adaptive_avg_pool1d(x.transpose(1, 2), 1).transpose(1, 2)",
            "x = torch.cat([x, x.max(1, keepdim=True)[0].expand(-1, x.size(1), -1)], -1)",
            "x = torch.cat([x, x.mean(1)[:, None].repeat(1, x.size(1), 1)], dim=2)",
            "x = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True, unbiased=False) + 0.1)",
            "x = torch.softmax(x, 1) * x.size(1)",
        )
    )
    d.width = 2 * n if "cat" in d.lines[-1] else n


def _convolution(d: Net) -> None:
    n, size, dilation = d.next_width(), d.draw.choice((2, 3)), d.draw.choice((1, 2, 4))
    span = (size - 1) * dilation
    conv = d.layer(f"nn.Conv1d({d.width}, {n}, {size}, dilation={dilation})")
    both = d.layer(f"nn.Conv1d({d.width}, {n}, {size}, padding={span}, dilation={dilation})")
    same = d.layer(f"nn.Conv1d({d.width}, {n}, 3, padding={d.one('1', chr(39) + 'same' + chr(39))})")
    gated = d.layer(f"nn.Conv1d({d.width}, {2 * n}, {size})")
    d.add(
        d.one(
            f"x = {conv}(F.pad(x.transpose(1, 2), ({span}, 0))).transpose(1, 2)",
            f"x = F.relu({both}(x.transpose(1, 2))[:, :, :-{span}]).transpose(1, 2)",
            f"x = {both}(x.permute(0, 2, 1))[..., :x.size(1)].permute(0, 2, 1)",
            f"x = {same}(x.transpose(1, 2)).transpose(1, 2)",
            f"x = F.glu({gated}(F.pad(x.transpose(1, 2), ({size - 1}, 0))), dim=1).transpose(1, 2)",
            f"y = nn.functional.pad(x, (0, 0, {span}, 0)).transpose(1, 2)\nx = torch.tanh({conv}(y)).transpose(1, 2)",
            f"y = torch.cat([x.new_zeros(x.size(0), x.size(2), {span}), x.transpose(1, 2)], 2)\n"
            f"x = {conv}(y).transpose(1, 2)",
        )
    )
    d.width = n


def _temporal_block(d: Net) -> None:
    n, dilation = d.width, d.draw.choice((1, 2))
    convs = [
        d.layer(f"nn.utils.parametrizations.weight_norm(nn.Conv1d({n}, {n}, 2, dilation={dilation}))") for _ in range(2)
    ]
    drop = d.layer("nn.Dropout(0.1)")
    one = "".join(f"y = {drop}(F.relu({conv}(F.pad(y, ({dilation}, 0)))))\n" for conv in convs)
    d.add(f"y = x.transpose(1, 2)\n{one}x = F.relu(x + y.transpose(1, 2))")


def _resampled(d: Net) -> None:
    """Add a part that resamples or pools along time."""
    n = d.width
    down, up = (
        d.layer(f"nn.Conv1d({n}, {n}, 3, stride=2, padding=1)"),
        d.layer(f"nn.ConvTranspose1d({n}, {n}, 2, stride=2)"),
    )
    d.add(
        d.one(
            f"y = {up}({down}(x.transpose(1, 2)))[..., :x.size(1)]\nx = x + y.transpose(1, 2)",
            "y = F.max_pool1d(x.transpose(1, 2), 2, ceil_mode=True)\nx = y.transpose(1, 2)",
            f"y = F.interpolate({down}(x.transpose(1, 2)), size=x.size(1))\nx = x + y.transpose(1, 2)",
            f"y = {down}(x.transpose(1, 2)).repeat_interleave(2, dim=2)[:, :, :x.size(1)]\nx = x + y.transpose(1, 2)",
            "x = F.avg_pool1d(x.transpose(1, 2), 3, 1, 1).transpose(1, 2)",
            "x = x[:, ::2]",
        )
    )


def _windows(d: Net) -> None:
    n = d.next_width()
    w = d.linear(3 * d.width, n)
    d.add(
        d.one(
            f"y = F.pad(x, (0, 0, 2, 0)).unfold(1, 3, 1)\nx = {w}(y.flatten(2))",
            f"y = F.pad(x, (0, 0, 1, 1))\nx = {w}(torch.cat([y[:, :-2], y[:, 1:-1], y[:, 2:]], -1))",
            f"x = {w}(torch.cat([x, torch.roll(x, 1, 1), x.roll(-1, dims=1)], -1))",
            f"y = torch.cat([torch.zeros_like(x[:, :2]), x], 1)\n"
            f"x = {w}(torch.cat([y[:, i : i + x.size(1)] for i in range(3)], -1))",
        )
    )
    d.width = n


def _shifted(d: Net) -> None:
    n = d.width
    mix, w = d.parameter(n), d.linear(n, n)
    before = d.one(
        "F.pad(x, (0, 0, 1, -1))",
        "torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)",
        "torch.cat([x.new_zeros(x.size(0), 1, x.size(2)), x[:, :-1]], dim=1)",
        "nn.ZeroPad2d((0, 0, 1, -1))(x)",
    )
    d.add(f"p = {before}\nx = x + {w}(torch.relu(p * {mix} + x * (1 - {mix})) ** 2)")


def _rotary(d: Net) -> None:
    half = d.width // 2
    freq = d.one(f"{d.parameter(half)}", f"10000 ** (-torch.arange(0, {half}{d.like()}) / {half})")
    d.add(
        f"t = torch.arange(x.size(1))\nangle = {d.one('t[:, None] * f', 'torch.outer(t.to(f.dtype), f)')}\n"
        "a, b = x.chunk(2, -1)\n"
        "x = torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)"
    )
    d.lines.insert(-4, f"f = {freq}")


def _positions(d: Net) -> None:
    n = d.width
    table, w = d.parameter(1, 80, n), d.linear(1, n)
    d.add(
        d.one(
            f"x = x + {table}[:, :x.size(1)]",
            f"x = x + {table}[:, :x.shape[1], :].expand(x.size(0), -1, -1)",
            f"x = x + {w}(torch.linspace(0, 1, x.size(1){d.like()})[:, None])",
            f"x = x + {w}((torch.arange(x.size(1){d.like()}) / x.size(1)).unsqueeze(-1))",
            f"x = x + torch.sin(torch.arange(x.size(1)))[:, None] * {table}[0, 0]",
        )
    )


def _branch(d: Net) -> None:
    n = d.width
    w = d.linear(n, n)
    d.add(
        d.one(
            f"if x.shape[1] == 1:\n    x = x * 0\nx = x + {w}(x)",
            f"if x.size(1) > 1:\n    x = x - x.mean(1, keepdim=True)\nx = x + {w}(x)",
            "assert x.size(1) < 100, 'too long'",
            f"if x.dim() == 2:\n    x = x.unsqueeze(0)\nx = torch.relu({w}(x))",
            f"b, t, c = x.shape\nif c != {n}:\n    raise ValueError(c)\nx = {w}(x)",
            f"if x.size(1) % 2:\n    x = F.pad(x, (0, 0, 0, 1))\nx = x.reshape(x.size(0), -1, 2, {n}).sum(2)",
            f"more = (-x.size(1)) % 4\nx = F.pad(x, (0, 0, 0, more))\nx = x.view(x.size(0), -1, 4, {n}).mean(2)",
        )
    )
    d.skips |= {1} if "== 1" in "".join(d.lines[-3:]) or "> 1" in "".join(d.lines[-3:]) else set()


def _einops(d: Net) -> None:
    n, h, each = d.width, HEADS, d.width // HEADS
    if not d.with_einops:
        return
    split, join = d.layer(f"Rearrange('b t (h d) -> b h t d', h={h})"), d.layer("Rearrange('b h t d -> b t (h d)')")
    conv = d.layer(
        f"nn.Sequential(Rearrange('b t c -> b c t'), nn.Conv1d({n}, {n}, 3, padding=1), Rearrange('b c t -> b t c'))"
    )
    mean, w = d.layer("Reduce('b t c -> b c', 'mean')"), d.linear(n, n)
    d.add(
        d.one(
            f"y = {split}(x)\nx = {join}(y / (1 + y.pow(2).mean(-1, keepdim=True)))",
            f"x = x + {conv}(x)",
            f"x = x + rearrange({mean}(x), 'b c -> b 1 c')",
            f"x = x * repeat(torch.sigmoid({w}(reduce(x, 'b t c -> b c', 'max'))), 'b c -> b t c', t=x.size(1))",
            f"y = rearrange(x, 'b t (h d) -> (b h) t d', h={h})\ny = y.softmax(-1)\n"
            f"x = rearrange(y, '(b h) t d -> b t (h d)', h={h})",
            f"y = reduce(rearrange(x, 'b t (h d) -> b t h d', d={each}), 'b t h d -> b t d', 'mean')\n"
            f"x = x - repeat(y, 'b t d -> b t (h d)', h={h})",
        )
    )


def _plane(d: Net) -> None:
    """Add a convolution over time and width."""
    n, k = d.width, 2
    conv = d.layer(f"nn.Conv2d(1, {k}, 3, padding=1)")
    causal = d.layer(f"nn.Conv2d(1, {k}, (2, 3), padding=(0, 1))")
    w = d.linear(k * n, n)
    d.add(
        d.one(
            f"y = F.relu({conv}(x.unsqueeze(1)))\nx = {w}(y.transpose(1, 2).flatten(2))",
            f"y = F.elu({causal}(F.pad(x[:, None], (0, 0, 1, 0))))\n"
            f"x = {w}(y.permute(0, 2, 1, 3).reshape(x.size(0), x.size(1), -1))",
        )
    )


def _gated(d: Net) -> None:
    n = d.width
    w, v, norm = d.linear(n, 2 * n), d.linear(n, n), d.layer(f"nn.LayerNorm({n})")
    a, b = (
        d.layer(f"nn.Sequential(nn.Linear({n}, 5), nn.GELU(), nn.Dropout(0.1), nn.Linear(5, {n}))"),
        d.layer("nn.Dropout2d(0.1)"),
    )
    d.add(
        d.one(
            f"a, b = {w}({norm}(x)).chunk(2, dim=-1)\nx = x + {v}(F.silu(a) * b)",
            f"x = F.glu({w}(x), -1)",
            f"x = x + {a}({norm}(x))",
            f"x = {b}(x.permute(0, 2, 1).unsqueeze(3)).squeeze(3).permute(0, 2, 1)",
            f"g = torch.sigmoid({v}(x))\nx = g * x + (1 - g) * {a}(x)",
        )
    )


def _scanned(d: Net) -> None:
    """Add a minimal recurrence in parallel form."""
    n = d.next_width()
    w = d.linear(d.width, 2 * n)
    d.add(
        f"z, c = {w}(x).chunk(2, -1)\n"
        + d.one(
            "a = F.logsigmoid(-z).cumsum(1)\n"
            "x = torch.exp(a + torch.logcumsumexp(F.logsigmoid(z) + torch.tanh(c) - a, 1))",
            "a = F.pad(F.logsigmoid(-z).cumsum(1), (0, 0, 1, 0))\n"
            "v = torch.cat([torch.zeros_like(c[:, :1]), F.logsigmoid(z) + torch.tanh(c)], 1)\n"
            "x = torch.exp(a + (v - a).logcumsumexp(dim=1))[:, -x.size(1):]",
            "g = torch.sigmoid(z)\na = torch.cumprod(1 - 0.5 * g, 1)\nx = a * torch.cumsum(g * c / a, 1)",
        )
    )
    d.width = n


def _doubled(d: Net) -> None:
    """Add a scan by doubling, in logarithmically many rounds."""
    d.add(
        "a, k = torch.full_like(x, 0.9), 1\nwhile k < x.size(1):\n    x = x + a * F.pad(x, (0, 0, k, 0))[:, :-k]\n"
        "    a = a * F.pad(a, (0, 0, k, 0), value=1.0)[:, :-k]\n    k = 2 * k"
    )


PARTS = (
    _layers,
    _layers,
    _time_major,
    _encoded,
    _merged,
    _merged,
    _norms,
    _cumulative_norm,
    _pooled,
    _convolution,
    _convolution,
    _temporal_block,
    _resampled,
    _windows,
    _shifted,
    _rotary,
    _positions,
    _branch,
    _branch,
    _einops,
    _einops,
    _plane,
    _gated,
    _scanned,
    _doubled,
)
