"""Programs in files.

``save_load`` writes and reads, ``byte_form`` packs everything into bytes for pickles, ``json_form`` converts values
that are neither graphs nor arrays, and ``validation`` rejects inconsistent files.
"""
