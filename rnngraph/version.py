"""The version of this library, where every part can read it."""

__version__ = "0.2.0"
