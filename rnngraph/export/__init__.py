"""Export of an inference graph as files that run without Python.

``stream_form`` plans a net that runs step by step, ``sequence_form`` one of whole sequences, both with ``native_code``
and ``c_array_names``. ``c_interface`` makes C functions, ``package`` the other files, ``example`` feeds of self-tests.
``write_net`` writes an export, ``write_plugin`` the exports for platforms of audio plugins. This package does not
import programs.
"""
