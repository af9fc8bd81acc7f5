"""Programs as files: ``save_load`` writes and reads, ``json_form`` is what is neither graph nor array, ``validation``
refuses what does not fit together.
"""
