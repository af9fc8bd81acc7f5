"""Loop IR: loops, vectors, loads and stores over buffers, with symbolic sizes. It is independent of graphs.

- ``nodes``: the statements, with ``products`` and their ``base`` class; ``values``: operands of statements.
- ``functions``: functions of statements; ``builder`` builds blocks, and ``printer`` prints ``show("loops")``.
- ``worker_names``: index and number of the workers of an entry.
- ``effects``: buffers that statements read and write; ``origins``: lines of the script from which statements come.
- ``renaming``: replacement of names, and comparison of functions; ``parts``: groups of independent statements.
- ``iterations``: merges a remainder into its loop as one more iteration, and fuses neighbouring loops.
- ``memory_check``: verifier that no entry reads memory that was not written.
"""
