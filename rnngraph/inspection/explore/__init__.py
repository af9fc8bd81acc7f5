"""Explorer: an HTML file that shows a net at all levels, without a network or a server.

``changes`` compares two texts of a graph, and ``stages`` collects the stages with the changes of each pass. ``places``
numbers source places of texts and boxes, ``facts`` describes the script, parameters, taps and times, and ``packed``
compresses text. ``page`` puts all into ``assets/``, plain HTML, CSS and JavaScript without libraries, with the net's
drawing of ``rnngraph/inspection/picture``. Texts of scripts and files are data on the page, never markup.
"""
