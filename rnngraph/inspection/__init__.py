"""Views of a program: ``picture``, ``profile`` and ``explore``, which draw on a ``surface``.

``picture`` draws a declaration, ``profile`` measures where calls spend time, and ``explore`` shows every stage of a net
on an HTML page.
"""
