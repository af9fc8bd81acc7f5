"""Parts of drawn nets that attend to steps."""

from __future__ import annotations

from drawn_nets import HEADS, Net


def _split_heads(d: Net, name: str, layer: str) -> str:
    each = d.width // HEADS
    texts = [
        f"{name} = {layer}(x).view(x.size(0), x.size(1), {HEADS}, {each}).transpose(1, 2)",
        f"{name} = {layer}(x).reshape(*x.shape[:2], {HEADS}, -1).permute(0, 2, 1, 3)",
        f"{name} = {layer}(x).unflatten(-1, ({HEADS}, {each})).transpose(1, 2)",
        f"{name} = torch.stack({layer}(x).chunk({HEADS}, -1), 1)",
    ]
    if d.with_einops:
        texts.append(f"{name} = rearrange({layer}(x), 'b t (h d) -> b h t d', h={HEADS})")
    return d.one(*texts)


def _join_heads(d: Net) -> str:
    texts = [
        f"y = y.transpose(1, 2).reshape(x.size(0), x.size(1), {d.width})",
        "y = y.transpose(1, 2).contiguous().view(x.size(0), -1, y.size(1) * y.size(3))",
        "y = y.permute(0, 2, 1, 3).flatten(2)",
        f"y = torch.cat([y[:, k] for k in range({HEADS})], -1)",
    ]
    if d.with_einops:
        texts.append("y = rearrange(y, 'b h t d -> b t (h d)')")
    return d.one(*texts)


def _attention(d: Net) -> None:
    n, each = d.width, d.width // HEADS
    q, k, v, o = (d.linear(n, n) for _ in range(4))
    mask = d.one(
        "",
        "a = a.masked_fill(torch.triu(torch.ones(x.size(1), x.size(1)), 1).bool(), float('-inf'))",
        "a = a.masked_fill(~torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril(), -1e9)",
        "i = torch.arange(x.size(1))\na = a.masked_fill(i[None, :] > i[:, None], float('-inf'))",
        "i = torch.arange(x.size(1))\nnear = (i[:, None] - i[None]).abs() < 3\na = torch.where(near, a, -1e9)",
        "i = torch.arange(x.size(1))\na = a - 0.1 * (i[:, None] - i[None, :]).abs()",
        f"a = a + {d.layer('nn.Parameter(0.2 * torch.randn(2, 64, 64))')}[:, :x.size(1), :x.size(1)]",
        f"a = a.masked_fill({_buffer(d)}[:x.size(1), :x.size(1)] == 0, float('-inf'))",
    )
    kinds = [
        f"a = q @ k.transpose(-1, -2) / math.sqrt({each})\n{mask}\ny = torch.softmax(a, -1) @ v",
        f"a = torch.einsum('bhid,bhjd->bhij', q, k) * {each} ** -0.5\n{mask}\n"
        "y = torch.einsum('bhij,bhjd->bhid', F.softmax(a, dim=-1), v)",
        f"y = F.scaled_dot_product_attention(q, k, v{d.one('', ', is_causal=True')})",
        f"a = torch.matmul(q, k.transpose(2, 3))\n{mask}\ny = F.dropout(a.softmax(-1), 0.1, self.training).matmul(v)",
    ]
    split = "\n".join(_split_heads(d, name, layer) for name, layer in zip("qkv", (q, k, v), strict=True))
    d.add(f"{split}\n{d.one(*kinds)}\n{_join_heads(d)}\nx = x + {o}(y)".replace("\n\n", "\n"))


def _buffer(d: Net) -> str:
    name = f"self.b{d.count}"
    d.count += 1
    d.inits.append(f"self.register_buffer('{name[5:]}', torch.tril(torch.ones(64, 64)))")
    return name


def _linear_attention(d: Net) -> None:
    n, each = d.width, d.width // HEADS
    q, k, v = (d.linear(n, n) for _ in range(3))
    split = "\n".join(_split_heads(d, name, layer) for name, layer in zip("qkv", (q, k, v), strict=True))
    d.add(
        f"{split}\n"
        + d.one(
            "q, k = F.elu(q) + 1, F.elu(k) + 1\ns = torch.einsum('bhtd,bhte->bhtde', k, v).cumsum(2)\n"
            "y = torch.einsum('bhtd,bhtde->bhte', q, s) / torch.einsum('bhtd,bhtd->bht', q, k.cumsum(2)).unsqueeze(-1)",
            "i = torch.arange(x.size(1))\ngap = i[:, None] - i[None]\n"
            f"decay = torch.where(gap >= 0, 0.9 ** gap.clamp(min=0).to(x.dtype), torch.zeros((){d.like()}))\n"
            "y = (q @ k.transpose(-1, -2) * decay) @ v",
            "q, k = q.softmax(-1), k.softmax(-2)\ny = q @ torch.einsum('bhtd,bhte->bhde', k, v)",
        )
        + f"\n{_join_heads(d)}\nx = x + y"
    )
    assert each


def _attention_layer(d: Net) -> None:
    n = d.width
    attention = d.layer(f"nn.MultiheadAttention({n}, {HEADS}, batch_first=True)")
    layer = d.layer(
        f"nn.TransformerEncoderLayer({n}, {HEADS}, 8, batch_first=True, norm_first={d.draw.random() < 0.5})"
    )
    mask = d.one(
        "torch.triu(torch.ones(x.size(1), x.size(1), dtype=torch.bool), 1)",
        "torch.triu(torch.full((x.size(1), x.size(1)), float('-inf'), dtype=x.dtype), diagonal=1)",
        "nn.Transformer.generate_square_subsequent_mask(x.size(1), dtype=x.dtype)",
    )
    d.add(
        d.one(
            f"x = x + {attention}(x, x, x, need_weights=False)[0]",
            f"y, w = {attention}(x, x, x, attn_mask={mask})\nx = x + y",
            f"x = {layer}(x)",
            f"x = {layer}(x, src_mask={mask})",
        )
    )


ATTENTION = (_attention, _attention, _linear_attention, _attention_layer)
