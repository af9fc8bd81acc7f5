"""Programs at run time: parameters, calls, streams."""
