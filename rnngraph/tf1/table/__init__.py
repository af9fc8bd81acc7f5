"""TensorFlow 1.x's names, and the modules that programs import, built from one table.

``names.txt`` is the table: a line for each path under ``tf``, with the object of ours that it stands for, the module
that it is another name of, or what to use instead. ``modules.txt`` lists the modules of TensorFlow 1.15.5's wheel, made
by ``tools/list_tf1_modules.py``. ``entries`` reads both, ``missing`` has the errors of names that are not offered, and
``modules`` builds the modules. Objects are imported when a program first reads their names.
"""
