"""A language model of hundreds of megabytes: the ``net``, and C that reads as many weights (``weights``)."""
