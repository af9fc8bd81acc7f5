"""Table of ops, with one row for each op. Users cannot add ops.

The column ``evaluate`` defines the value of an op: the interpreter runs it, and tests compare native code with it. The
rows of elementwise ops are in ``elementwise_ops``.
"""

from __future__ import annotations

import numpy as np

from . import attributes as may
from . import axis_rules as axes_of
from . import derivatives as derivative
from . import elementwise_ops as elementwise_ops
from . import type_rules as rule
from .axis_rules import in_all
from .node import MATRIX_PRODUCTS as MATRIX_PRODUCTS
from .node import OPS as OPS
from .node import Op as Op
from .node import row
from .numbers import evaluation as value

MANY = 1 << 30
"""Maximum number of operands of an op with any number of operands."""

row("input", "leaf", 0, rule.typed, axes_of.LEAF, label=may.text, type=may.kind)
row("parameter", "leaf", 0, rule.typed, axes_of.LEAF, label=may.text, type=may.kind)
row("constant", "leaf", 0, rule.constant, axes_of.LEAF, lambda arrays, a: a["value"], value=may.anything)
# ``runs``: if the size counts time steps, a stream continues the count from call to call.
row(
    "iota",
    "leaf",
    0,
    rule.iota,
    axes_of.LEAF,
    lambda arrays, a: np.arange(a["size"], dtype=np.int64),
    optional=("runs",),
    size=may.dim,
    runs=may.flag,
)
row(
    "dimension",
    "leaf",
    0,
    rule.dimension,
    axes_of.dimension,
    lambda arrays, a: np.asarray(a["size"], np.int64),
    optional=("runs",),
    size=may.dim,
    runs=may.flag,
)

# Operands are floats of one dtype, bfloat16 accumulated in float32, or 8-bit integers accumulated exactly in int32.
# The right operand is one matrix, or a batch of float matrices with the same leading axes as the left operand.
# ``sparse``: blocks of zeros of the right operand are skipped, so that there 0 times NaN is 0. ``rounded``: both
# float32 factors are rounded to bfloat16. Subnormal numbers may count as 0, and the order of additions is undefined.
row(
    "matmul",
    "contraction",
    (2, 3),
    rule.matmul,
    axes_of.matmul,
    value.matmul,
    derivative.matmul,
    optional=("sparse", "rounded"),
    sparse=may.flag,
    rounded=may.flag,
)

# Product with a weight of 8 or 4 bits. In each column, ``block`` consecutive rows share a scale. Operands are the
# activations in 8 bits, the weight, the scales of both, and the sums of the activations' blocks. For each block of rows
# b in order, the result becomes fma(sum over b of activation * weight - zero * sum of b, activation scale * weight
# scale, result). The sums of integers are exact. ``bits`` is the number of stored bits of a weight.
row(
    "block_matmul",
    "contraction",
    5,
    rule.block_matmul,
    axes_of.block_matmul,
    value.block_matmul,
    derivative.nothing,
    block=may.positive,
    zero=may.integer,
    bits=may.positive,
)

# Sum of outer products of rows over all leading axes: the adjoint of a matmul's right operand.
row("outer_sum", "contraction", 2, rule.outer_sum, axes_of.outer_sum, value.outer_sum, derivative.outer_sum)

# Add each row to the row of a zero table that its index selects: the adjoint of a gather's table.
row(
    "scatter_add",
    "contraction",
    2,
    rule.scatter_add,
    axes_of.scatter_add,
    value.scatter_add,
    derivative.scatter_add,
    rows=may.dim,
)

# Overlap-add of windows: the adjoint of ``windows``. ``size`` is the size of the axis of the result.
row(
    "overlap_add",
    "contraction",
    1,
    rule.overlap_add,
    axes_of.overlap_add,
    value.overlap_add,
    derivative.overlap_add,
    axis=may.axis,
    size=may.dim,
    step=may.divisor,
    apart=may.positive,
)

# ``fused``: the operand is a product, and is summed by fused multiply-adds, each of which rounds once.
row(
    "reduce_sum",
    "reduction",
    1,
    rule.reduce,
    axes_of.reduce_sum,
    value.reduce(np.sum),
    derivative.reduce_sum,
    optional=("fused",),
    axes=may.axes,
    keepdims=may.flag,
    fused=may.flag,
)
# ``nonempty``: a call checks that there is at least one element.
row(
    "reduce_max",
    "reduction",
    1,
    rule.reduce,
    axes_of.reduce_extreme,
    value.extreme(np.max, value.lowest, rule.check_nonempty),
    derivative.reduce_extreme,
    optional=("nonempty",),
    axes=may.axes,
    keepdims=may.flag,
    nonempty=may.flag,
)
row(
    "reduce_min",
    "reduction",
    1,
    rule.reduce,
    axes_of.reduce_extreme,
    value.extreme(np.min, value.highest, rule.check_nonempty),
    derivative.reduce_extreme,
    optional=("nonempty",),
    axes=may.axes,
    keepdims=may.flag,
    nonempty=may.flag,
)

row(
    "slice",
    "movement",
    1,
    rule.slice,
    axes_of.slice,
    value.part,
    derivative.slice,
    start=may.starts,
    stop=may.stops,
    step=may.steps,
)
# Every ``step``-th sliding window of ``size`` entries with the dilation ``apart``. The windows are the axis ``axis`` of
# the result, and their entries the next axis.
row(
    "windows",
    "movement",
    1,
    rule.windows,
    axes_of.windows,
    value.windows,
    derivative.windows,
    axis=may.axis,
    size=may.positive,
    step=may.divisor,
    apart=may.positive,
)
row(
    "reverse",
    "movement",
    1,
    lambda types, a, unify: types[0],
    axes_of.reverse,
    lambda arrays, a: np.flip(arrays[0], a["axis"]),
    derivative.reverse,
    axis=may.axis,
)
row(
    "transpose",
    "movement",
    1,
    rule.transpose,
    axes_of.transpose,
    lambda arrays, a: np.transpose(arrays[0], a["order"]),
    derivative.transpose,
    order=may.axes,
)
row(
    "reshape",
    "movement",
    1,
    rule.reshape,
    axes_of.reshape,
    lambda arrays, a: np.reshape(arrays[0], a["shape"]),
    derivative.reshape,
    shape=may.shape,
)
row(
    "broadcast",
    "movement",
    1,
    rule.broadcast,
    axes_of.elementwise(in_all),
    lambda arrays, a: np.broadcast_to(arrays[0], a["shape"]),
    derivative.broadcast,
    shape=may.shape,
)
row(
    "concat",
    "movement",
    (1, MANY),
    rule.concat,
    axes_of.concat,
    lambda arrays, a: np.concatenate(arrays, a["axis"]),
    derivative.concat,
    axis=may.axis,
)
# Identity whose result has other formulas for its sizes. Each call checks that the sizes are equal, and that they are
# within the ``limits``, which are tuples (size, minimum, maximum).
row(
    "ensure_shape",
    "movement",
    1,
    rule.ensure_shape,
    axes_of.elementwise(in_all),
    value.ensure_shape,
    derivative.ensure_shape,
    shape=may.shape,
    limits=may.limits,
    optional=("limits",),
)
row("gather", "movement", 2, rule.gather, axes_of.gather, value.gather, derivative.gather)

# In a declaration, the operands are the value and keep_prob. ``lower`` adds the operands seed, step and row.
row(
    "dropout",
    "structured",
    (2, 5),
    rule.dropout,
    axes_of.dropout,
    random=True,
    until="split",
    site=may.text,
    salt=may.integer,
)
# Random numbers of the operand's shape. ``lower`` replaces the op by random_key and random_uniform.
row("noise", "structured", 1, rule.noise, axes_of.noise, random=True, until="lower")
# Random numbers of a sample, of the operand's shape. ``lower`` replaces the op by sample_key and sample_uniform.
row("sample_noise", "structured", 1, rule.sample_noise, axes_of.noise, random=True, until="lower")
# Identity that names an intermediate value; on request, ``lower`` makes the value an output.
row("tap", "structured", 1, lambda types, attributes, unify: types[0], axes_of.elementwise(in_all), until="lower")
# Operands: the value in the training graph, and the value in the inference graph. ``split`` selects one of them.
row("by_graph", "structured", 2, rule.by_graph, axes_of.elementwise(in_all), until="split")
# Operands: value, parameter, next value of the parameter. The result is the value. Each applied training step updates
# the parameter.
row("with_update", "structured", 3, rule.with_update, axes_of.with_update, until="split")
# A declared driver, which ``lower`` replaces by a scan. Tracing the cell determines its type.
row(
    "driver",
    "structured",
    (0, MANY),
    lambda types, attributes, unify: attributes["result"],
    axes_of.UNKNOWN,
    until="lower",
)
# ``when``: index of a boolean input of the body, a carry or a step of a sequence. Where it is false, the step is
# skipped: carries keep their values, and zeros are emitted.
# ``keeps``: number of steps of a block. After the emitted values, the scan also returns each carry before every block.
# ``blocks``: number of steps of a block. Every block starts from another element of the initial values.
row(
    "scan",
    "structured",
    (0, MANY),
    rule.scan,
    axes_of.scan,
    optional=("unroll", "when", "keeps", "blocks"),
    body=may.anything,
    carries=may.carries,
    sequences=may.sequences,
    length=may.length,
    reverse=may.flag,
    unroll=may.unrolled,
    when=may.body_input,
    keeps=may.divisor,
    blocks=may.divisor,
)
row("get", "structured", 1, rule.get, axes_of.PART, index=may.item)
