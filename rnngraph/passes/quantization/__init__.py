"""Products with weights of 16 or 8 bits.

``reduced_weights`` selects the products. ``narrow_products`` computes the bfloat16 and int8 values and rewrites the
products. ``block_products`` does so for 8 and 4 bits with a scale for each block of rows; ``stored_blocks`` recognises
weights that are stored so. ``round_factors`` is for targets that do not multiply matrices of bfloat16.
"""
