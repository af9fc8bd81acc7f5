"""Tables about a program."""
