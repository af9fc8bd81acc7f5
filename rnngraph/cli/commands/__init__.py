"""Commands of the command line.

- ``show``: print a compiler stage, or the changes of a pass.
- ``bench_net``: time calls of both graphs.
- ``profile_net``: print a profile of calls.
- ``explore_net``: write the explorer page of a script or file.
- ``export_net``: write native files.
- ``import_net``: convert a file of another format to a script; ``weight_files`` lists tensors of files without a net.
- ``verify_net``: compare an imported net with the file's own engine.
- ``file_kinds``: detection of file formats.
- ``other_engines``: the engines of other formats.
- ``weight_arguments``: the ``--weights`` option.
- ``progress``: a spinner for slow steps.
- ``command_error``: the error for invalid commands.
"""
