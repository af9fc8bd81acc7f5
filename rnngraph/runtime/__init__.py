"""Machine code at run time: ``native`` holds one graph's code and runs it, ``direct`` lets CPython call it, ``calls``
turns arrays into calls and results, ``streams`` runs step by step. ``parameters`` are the arrays of a net,
``graph_source`` says where its graphs come from, ``class_names`` what its classes are called. Knows neither programs
nor trainers.
"""
