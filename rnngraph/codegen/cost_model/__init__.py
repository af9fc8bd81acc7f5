"""Estimates: shapes of register tiles, how work is cut between workers, stages of a pipeline, lengths of chunks of
time. They decide what is fast and never what is computed.
"""
