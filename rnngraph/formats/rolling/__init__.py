"""Equal steps that are written out one behind the other, as a traced loop or an exporter has them, rolled up into a
driver. ``loop`` says what a loop of such steps is made of, ``loops`` finds them, ``lifting`` makes drivers of recurrent
cells and whole sequences of what it can, ``own_cells`` a cell of the rest; ``parts`` serves both, ``scripts`` is the
door. Knows no format: it reads the steps of a ``Script``.
"""
