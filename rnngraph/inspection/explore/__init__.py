"""The explorer: one HTML file that shows a net at all levels at once, without a network or a server. ``stages`` gathers
every stage of a graph with what each pass changed, ``places`` numbers what texts and boxes come from, ``facts`` has the
script, parameters, taps and times; ``packed`` makes a text as small as it gets. The picture of the net comes from
``rnngraph/inspection/picture``, whose ``svg`` has the colours. ``page`` puts it all into ``assets/``, which are plain
HTML, CSS and JavaScript without libraries.

Texts of scripts and files reach the page as data, and never as markup.
"""
