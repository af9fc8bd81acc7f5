"""Commands of the command line on files of other formats: ``file_kinds`` tells formats apart, ``import_net`` reads a
file and says what it found, ``runtimes`` run files by their own engines, ``verify_net`` compares; and ``profile_net``,
which prints where the time of calls goes. ``cli`` parses arguments and calls them.
"""
