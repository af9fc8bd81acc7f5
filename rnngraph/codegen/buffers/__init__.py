"""Memory: where values are stored, and how weights are packed.

- ``views``: tensors in memory, as a buffer with an offset and strides; ``memory`` is the interface for kernels.
- ``packing``: panels of weights, with the ``lane_order`` of their vectors, ``transposing`` of rows, and
  ``sparse_packing`` without blocks of zeros. The other modules write no loops.
- ``arena``: memory of temporaries; ``carried_state``: memory of scans' states.
- ``output_buffers``: memory of the caller; ``buffer_reuse``: values that overwrite values without a later reader.
- ``outer_operands``: operands of sums of outer products.
- ``allocation``: assigns memory to every value of a group.
"""
