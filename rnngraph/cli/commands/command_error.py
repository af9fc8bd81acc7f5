"""Error for invalid commands."""


class CommandError(Exception):
    """Error for an invalid command line; exit code 2."""
