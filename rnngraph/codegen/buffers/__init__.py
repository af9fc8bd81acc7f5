"""Where values lie: ``views`` (a buffer, an offset, strides), the ``arena`` of temporaries, ``packing`` of weights,
states that scans carry, buffers that are used again, and the outputs of the caller's.
"""
