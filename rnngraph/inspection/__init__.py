"""Views of a program: ``picture`` draws a declaration, ``profile`` measures where calls spend time, and ``explore``
shows every stage of a net on an HTML page. They draw on a ``surface``.
"""
