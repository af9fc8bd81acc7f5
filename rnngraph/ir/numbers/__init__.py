"""What ops compute, in NumPy. ``evaluation`` has the values of ops, which define them; ``narrow`` has numbers of fewer
bits, and ``random`` drawn ones.
"""
