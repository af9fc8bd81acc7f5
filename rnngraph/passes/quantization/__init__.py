"""Products with weights of 16 or 8 bits: ``quantize_weights`` finds them, ``narrow_products`` writes them out."""
