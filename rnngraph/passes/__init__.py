"""Passes: each is one file, ``Graph -> Graph``, with its law in its docstring."""
