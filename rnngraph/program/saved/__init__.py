"""Programs as files: ``save_load`` writes and reads, ``byte_form`` has all of them in bytes, for pickles, ``json_form``
is what is neither graph nor array, ``validation`` refuses what does not fit together.
"""
