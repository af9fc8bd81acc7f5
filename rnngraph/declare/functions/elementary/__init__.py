"""Elementary functions, elementwise, with NumPy's names and NumPy's values at zeros, infinities and NaN.

``numbers`` (classification and signs), ``remainders``, ``powers``, ``logarithms``, ``angles``, ``hyperbolic``,
``normal`` (tails of the normal distribution).
"""
