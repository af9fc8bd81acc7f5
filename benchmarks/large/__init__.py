"""A language model of hundreds of megabytes.

``net`` declares it, ``gguf_net`` writes one as a file, and ``weights`` is C that reads as many weights.
"""
