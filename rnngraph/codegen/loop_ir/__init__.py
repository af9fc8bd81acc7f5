"""The loop IR: loops, vectors, loads and stores over buffers, with sizes that are formulas. ``nodes`` is its grammar,
``builder`` makes it, ``printer`` is ``show("loops")``, ``renaming`` finds equal functions, ``memory_check`` proves
that no entry reads what is not there. Knows no graph.
"""
