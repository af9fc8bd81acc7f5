"""Products with weights of 16 or 8 bits: ``reduced_weights`` chooses which products, ``narrow_products`` makes the
bfloat16 and int8 numbers and writes the products out.
"""
