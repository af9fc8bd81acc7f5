"""Atomic writing and checked reading of files.

A reader sees a complete file or gets an error; a killed writer leaves the previous version.

- ``atomic_file``: replace one file.
- ``versioned_directory``: replace a directory of several files.
- ``shared_folder``: write several files into a user's folder.
- ``array_file``: arrays as ``.npz`` or ``.safetensors``.
- ``checkpoint_file``: arrays with a JSON document; trainers, pickled programs and compiled code are such files.
- ``sealed_safetensors``: safetensors files with a digest.
- ``stored_array``: arrays that stay in their file until they are read.
- ``eviction``: removal of the oldest files of a directory whose size is limited.
- ``packed_files``: packed weights beside the cache of compiled code, which processes map.
- ``read_file``: bounded reading of regular files.
- ``protobuf``: Protocol Buffers' wire format.
- ``locks``: locks on bytes of files, between processes.
"""
