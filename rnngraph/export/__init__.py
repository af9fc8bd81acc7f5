"""An inference graph as files without Python: ``step_code`` makes its code, ``c_interface`` the C functions around it,
``package`` what stands beside the object file; ``write_net`` puts all together, and ``net_folder`` in place. Knows
where a graph comes from and how it is compiled, and no programs.
"""
