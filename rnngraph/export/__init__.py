"""The files around exported code: header, self-test, build files, description, Python module, libraries."""
