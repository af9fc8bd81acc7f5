"""Surface for pictures and profiles: ``surface`` is the protocol, ``svg`` writes text, ``png`` an image."""
