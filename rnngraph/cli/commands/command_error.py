"""Error for invalid commands."""


class CommandError(Exception):
    """The command is invalid as given; exit code 2."""
