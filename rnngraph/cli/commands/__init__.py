"""Commands of the command line. ``show`` prints stages, what belongs to a layer or a line, and what a pass changed. On
files of other formats: ``file_kinds`` tells formats apart, ``import_net`` reads a file and says what it found,
``runtimes`` run files by their own engines, ``verify_net`` compares. ``profile_net`` prints where the time of calls
goes, ``explore_net`` makes a page of a file or a script, and ``export_net`` writes native files. ``weight_arguments``
parse kinds of weights, ``progress`` shows on a terminal what takes seconds. ``command_error`` is what they raise where
one can't be carried out. ``cli`` parses arguments and calls them.
"""
