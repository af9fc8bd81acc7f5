"""From the declaration to one graph: names and sizes are settled (``names``), drivers become scans (``scan_body``)."""
