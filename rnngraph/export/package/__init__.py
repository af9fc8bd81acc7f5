"""The files around exported code: header, self-test, build files, libraries, Python and JavaScript modules. All are
written from one ``description``, whichever of the two forms a net has.
"""
