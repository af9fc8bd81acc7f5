"""Elementary functions, elementwise, most by NumPy's names and with NumPy's values at zeros, infinities and NaN.

In order: ``numbers`` (kinds of numbers, signs), ``remainders``, ``powers``, ``logarithms``, ``angles``, ``hyperbolic``,
``normal`` (tails of the normal distribution).
"""
