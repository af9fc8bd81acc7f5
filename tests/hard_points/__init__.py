"""Functions of other frameworks at hard points: their recorded values against those of nets that rnngraph reads."""
