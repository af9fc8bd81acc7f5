"""A graph over a part of a batch's rows, so that what the parts give adds up: ``kinds`` says what a value is to the
parts of a batch, ``shard`` makes the graph.
"""
