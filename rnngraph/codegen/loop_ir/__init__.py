"""Loop IR: loops, vectors, loads and stores over buffers, with symbolic sizes.

``nodes`` is its grammar, with ``products`` and their ``base``, over the ``values`` that statements read and write.
``functions`` hold statements, ``builder`` makes blocks, ``printer`` is ``show("loops")``, ``workers`` names the workers
of an entry, ``effects`` says what statements read and write, ``origins`` where they come from, ``renaming`` finds equal
functions, ``parts`` finds statements that share nothing, and ``memory_check`` proves that no entry reads memory that
was not written. Nothing here knows a graph.
"""
