"""Products with weights of 16, 8 or 4 bits.

- ``reduced_weights``: the pass, which selects products.
- ``narrow_products``: quantizes weights and activations to bfloat16 or int8, and rewrites products.
- ``block_products``: quantizes to 8 and 4 bits with a scale for each block of rows.
- ``stored_blocks``: recognises weights that are stored in such blocks.
- ``round_factors``: rounds factors to bfloat16 for targets that do not multiply matrices of bfloat16.
"""
