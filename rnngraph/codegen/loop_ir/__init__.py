"""Loop IR: loops, vectors, loads and stores over buffers, with symbolic sizes. It is independent of graphs.

- ``nodes``: the statements, with ``products`` and their ``base``; ``values``: what statements read and write.
- ``functions``: functions of statements; ``builder`` builds blocks, and ``printer`` prints ``show("loops")``.
- ``workers``: names of the workers of an entry.
- ``effects``: what each statement reads and writes; ``origins``: the lines of the script that it comes from.
- ``renaming``: equal functions; ``parts``: statements that share nothing.
- ``memory_check``: a proof that no entry reads memory that was not written.
"""
