"""Memory: where values are stored, and how weights are packed.

- ``views``: a buffer with an offset and strides; ``memory`` is the interface for kernels.
- ``packing``: panels of weights, with the ``lane_order`` of their vectors, ``transposing`` of rows, and
  ``sparse_packing`` without blocks of zeros. These are the only loops written here.
- ``arena``: memory of temporaries; ``carried_state``: memory of scans' states.
- ``output_buffers``: memory of the caller; ``buffer_reuse``: values that overwrite those that are not read any more.
- ``outer_operands``: operands of sums of outer products.
- ``allocation``: places every value of a group.
"""
