"""The loop IR: loops, vectors, loads and stores over buffers, with sizes that are formulas.

``nodes`` is its grammar, ``functions`` hold its statements, ``builder`` makes blocks of it, ``printer`` is
``show("loops")``, ``workers`` names who runs an entry, ``effects`` says what statements read and write, ``origins``
where they come from, ``renaming`` finds equal functions, ``memory_check`` proves that no entry reads what is not there.
Knows no graph.
"""
