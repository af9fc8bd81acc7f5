"""Blocks of Mamba and Mamba-2: a causal convolution, a state space and a gate, between two projections."""

from __future__ import annotations

from ...support.api_guard import api
from ...support.arguments import units
from ...support.errors import ArgumentError, user_line
from ..functions.activations import softplus, swish
from ..functions.basic import reshape, split
from ..functions.convolutions import Windows, convolved
from ..functions.layers import affine, owned
from ..functions.normalization import rms_norm
from ..initializers import DEFAULT_INITIALIZER
from ..layer import within
from ..parameters import ScopeName, scope_name
from ..running.drivers import run_steps
from ..tensor import Tensor
from .parts import inverse_softplus_of_steps
from .state_spaces import S6Cell, SSDCell


@api
def mamba(
    x: Tensor,
    state_dim: int = 16,
    conv_size: int = 4,
    expand: int = 2,
    dt_rank: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Apply a block of Mamba to a sequence (Gu and Dao 2023, figure 3).

        u, z = split(x in_proj);  u = swish(conv1d(u));  output = (S6(u) swish(z)) out_proj

    The convolution is causal and depthwise. There is no norm and no residual connection. Parameters:
    ``mamba/in_proj/kernel``, ``mamba/conv1d/kernel`` and ``bias``, ``mamba/s6_cell/*`` of ``rg.S6Cell``, and
    ``mamba/out_proj/kernel``. The next block has ``mamba_1/…``.

    Args:
        x: float [batch, time, width].
        state_dim: Number of states for each channel.
        conv_size: Number of steps that the convolution reads.
        expand: Number of channels, as a multiple of the width.
        dt_rank: Rank of the projection to the step sizes dt. None: ceil(width / 16).
        name: Scope of the parameters in place of ``mamba``.

    Returns:
        Tensor [batch, time, width].
    """
    scope = scope_name(name, "mamba", user_line())
    channels = units(expand, "expand") * x.width
    rank = -(-x.width // 16) if dt_rank is None else dt_rank
    u, z = split(affine(x, 2 * channels, None, scope, ("in_proj/kernel",)), 2)
    u = _convolved(u, conv_size, scope)
    y, _ = run_steps(S6Cell(channels, state_dim, rank), u, scope, False, scope.where, time_major=False)
    return affine(y * swish(z), x.width, None, scope, ("out_proj/kernel",))


@api
def mamba2(
    x: Tensor,
    head_dim: int = 64,
    state_dim: int = 128,
    conv_size: int = 4,
    expand: int = 2,
    num_groups: int = 1,
    name: str | None = None,
) -> Tensor:
    """Apply a block of Mamba-2 to a sequence (Dao and Gu 2024, figure 6).

        z, u, dt = split(x in_proj);  u, B, C = split(swish(conv1d(u)))
        output = (rms_norm(SSD(u, softplus(dt + bias), B, C) swish(z)) gamma) out_proj

    The convolution is causal and depthwise, and each group has a norm of its own. There is no residual connection.
    Parameters: ``mamba2/in_proj/kernel``, ``mamba2/conv1d/kernel`` and ``bias``, ``mamba2/dt/bias``,
    ``mamba2/ssd_cell/*`` of ``rg.SSDCell``, ``mamba2/norm/gamma`` and ``mamba2/out_proj/kernel``. The next block has
    ``mamba2_1/…``.

    Args:
        x: float [batch, time, width].
        head_dim: Width of a head. It must divide the number of channels, expand * width.
        state_dim: Number of states.
        conv_size: Number of steps that the convolution reads.
        expand: Number of channels, as a multiple of the width.
        num_groups: Number of groups of heads that share B and C.
        name: Scope of the parameters in place of ``mamba2``.

    Returns:
        Tensor [batch, time, width].

    Raises:
        ArgumentError: ``head_dim`` does not divide the number of channels, or num_groups the number of heads.
    """
    scope = scope_name(name, "mamba2", user_line())
    channels = units(expand, "expand") * x.width
    shared = units(num_groups, "num_groups") * units(state_dim, "state_dim")
    heads, rest = divmod(channels, units(head_dim, "head_dim"))
    if rest:
        raise ArgumentError(
            f"head_dim={head_dim} must divide the {channels} channels (expand={expand} times width {x.width})"
        )
    widths = [channels, channels + 2 * shared, heads]
    z, u, dt = split(affine(x, sum(widths), None, scope, ("in_proj/kernel",)), widths)
    u, key, query = split(_convolved(u, conv_size, scope), [channels, shared, shared])
    dt = softplus(dt + owned(scope, "dt/bias", (heads,), x.dtype, inverse_softplus_of_steps))
    parts = {
        "x": reshape(u, (None, None, heads, head_dim)),
        "dt": dt,
        "B": reshape(key, (None, None, num_groups, state_dim)),
        "C": reshape(query, (None, None, num_groups, state_dim)),
    }
    cell = SSDCell(heads, head_dim, state_dim, num_groups)
    y, _ = run_steps(cell, parts, scope, False, scope.where, time_major=False)
    y = rms_norm(reshape(y * swish(z), (None, None, num_groups, channels // num_groups)), epsilon=1e-5)
    y = reshape(y, (None, None, channels)) * owned(scope, "norm/gamma", (channels,), x.dtype, "ones")
    return affine(y, x.width, None, scope, ("out_proj/kernel",))


def _convolved(x: Tensor, size: int, scope: ScopeName) -> Tensor:
    """Return swish of a causal depthwise convolution of x over windows of ``size`` steps, plus a bias."""
    windows = Windows.checked("conv_size", size, 1, 1, "causal", scope.where)
    kernel = owned(scope, "conv1d/kernel", (windows.size, 1, x.width), x.dtype, DEFAULT_INITIALIZER)
    bias = owned(scope, "conv1d/bias", (x.width,), x.dtype, "zeros")
    with within(scope.layer):
        return swish(convolved(x, kernel, windows, x.width, scope) + bias)
