"""Runs of cells over time: ``inputs`` checks what is fed, ``run`` traces a step, and ``drivers`` are the functions."""
