"""An inference graph as files without Python: ``stream_form`` plans a net that runs step by step, ``sequence_form`` one
that takes whole sequences, both with ``native_code`` and ``c_names`` for arrays and sizes; ``c_interface`` makes the C
functions around it, ``package`` what stands beside the object file; ``example`` feeds the self-test, ``write_net`` puts
all together, and ``write_plugin`` does so for the systems of audio plugins. Knows where a graph comes from and how it
is compiled, and no programs.
"""
