"""A net as files without Python: ``write_net`` is the door, ``step_code`` plans a step, a block of steps and the
initial state, ``c_interface`` makes object code, ``package`` the files around it, and ``net_folder`` puts them in
their place.
"""
