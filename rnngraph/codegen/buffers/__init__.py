"""Memory: where values are stored, and how weights are packed.

``views`` (a buffer, an offset, strides); ``packing`` of weights, with ``lane_order`` of their vectors,
``transposing`` of rows, and ``sparse_packing`` without blocks of zeros; the ``arena`` of temporaries;
``carried_state`` of scans; ``buffer_reuse``; ``output_buffers`` of the caller; ``outer_operands`` of sums of outer
products; and ``allocation``, which places every value of a group. ``memory`` is the interface for kernels. The only
loops written here are those of packing.
"""
