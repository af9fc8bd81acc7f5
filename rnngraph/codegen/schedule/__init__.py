"""The entry: ``scheduler`` orders kernels and ``scan`` loops over steps; ``time_loop`` makes pipelines of chunks of
time; ``entry_writer`` writes functions and calls, and ``plan`` is the result.
"""
