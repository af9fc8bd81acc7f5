"""What a command raises where it can't be carried out as it was given."""


class CommandError(Exception):
    """The command can't be carried out as given; exit code 2."""
