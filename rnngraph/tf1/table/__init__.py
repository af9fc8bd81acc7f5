"""Table of TensorFlow 1.x's names, and the modules that are built from it.

``names.txt`` has a line for each path under ``tf``, such as ``nn.relu``: the object or module that the path names, or
what to use instead.
``modules.txt`` lists the modules of TensorFlow 1.15.5's wheel; ``tools/list_tf1_modules.py`` writes it. ``entries``
reads both, ``missing`` has the errors for names that are not offered, and ``modules`` builds the modules. Objects are
imported when a program first reads their names.
"""
