"""From the declaration to one graph. ``lower`` is the door: ``names`` of scopes and parameters are settled, and drivers
become scans (``scan_body``).

Both make nodes by ``sized_nodes``, which solves sizes, and ``random_nodes``, which draws. ``context`` is what they
share, ``lowered`` what lowering gives, and ``kept_states`` brings those states of it into form that a net takes and
gives by name.
"""
