"""Functions of other frameworks at hard points: their own recorded values, beside those of the nets that are read."""
