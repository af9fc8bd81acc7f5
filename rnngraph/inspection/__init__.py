"""Views of a program: ``picture`` draws a declaration, ``profile`` measures where the time of calls goes, and
``explore`` puts every stage of a net on one HTML page. They draw on a ``surface``.
"""
