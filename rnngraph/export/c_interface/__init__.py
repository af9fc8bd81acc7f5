"""Object code with C functions: ``ports`` are the arrays that callers see, ``functions`` fill argument blocks and call
entries, ``weights`` come from outside, ``dispatch`` chooses by processor, ``object_code`` puts all together.
"""
