"""What passes over scans share: ``cycles`` says which carries need each other, ``lifting`` makes ops over one step ops
over all of them, ``large_values`` says what stays in a loop for its size, ``pieces`` takes a scan apart.
"""
