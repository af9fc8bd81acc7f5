"""Where values lie: ``views`` (a buffer, an offset, strides), ``packing`` of weights, with ``lane_order`` of its
vectors, and ``sparse_packing`` of weights without their blocks of zeros; the ``arena`` of temporaries,
``carried_state`` of scans, ``buffer_reuse``, ``output_buffers`` of the caller's, and ``allocation``, which gives every
value of a group its place. ``memory`` is what kernels are told of it. Writes no loops but those that pack.
"""
