"""Files that are whole or refused: one file (``atomic_file``), a directory of several (``versioned_directory``), files
in a folder of the user's (``shared_folder``), arrays (``array_file``), and arrays with a document
(``checkpoint_file``), both with a digest of their bytes (``sealed_safetensors``). ``read_file`` reads regular files
within bounds; ``protobuf`` reads and writes messages; ``locks`` keep writers apart. Writers that are killed leave what
was there. Knows nothing of nets.
"""
