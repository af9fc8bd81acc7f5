"""A language model of hundreds of megabytes.

``net`` declares it, ``gguf_net`` writes it as a GGUF file, and ``weights`` is C code that reads as many weights.
"""
