"""Memory: where values are stored, and how weights are packed.

- ``views``: tensors in memory, as a buffer with an offset and strides; ``memory`` is the interface for kernels.
- ``packing``: writes the loops that pack weights into panels. ``transposing`` transposes rows in registers,
  ``lane_order`` shuffles lanes, and ``sparse_packing`` omits blocks of zeros.
- ``arena``: memory of temporaries; ``carried_state``: memory of scans' states.
- ``output_buffers``: memory of the caller; ``buffer_reuse``: values that overwrite values without a later reader.
- ``outer_operands``: operands of sums of outer products.
- ``allocation``: assigns memory to every value of a group.
"""
