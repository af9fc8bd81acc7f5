"""Commands of the command line on files of other formats: ``file_kinds`` tells formats apart, ``import_net`` reads a
file and says what it found, ``explore_net`` makes a page of a file or a script, ``runtimes`` run files by their own
engines, ``verify_net`` compares. ``cli`` parses arguments and calls them.
"""
