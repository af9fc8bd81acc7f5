"""Programs in files.

``save_load`` writes and reads, ``byte_form`` packs everything into bytes for pickles, ``json_form`` converts what is
neither graph nor array, and ``validation`` rejects inconsistent files.
"""
