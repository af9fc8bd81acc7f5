"""Loops and branches that programs write as functions: ``tf.while_loop``, ``scan``, ``map_fn``, ``cond`` and kin.

``loop`` declares a step once and makes a driver of it, the loop that cells run in, with states of any shape.
``tensor_array`` are entries that steps read and write, ``counting`` finds how many steps there are and what is chosen
by their number; ``while_loops`` and ``functional`` are what programs call, ``branches`` selects. Knows no cell.
"""
