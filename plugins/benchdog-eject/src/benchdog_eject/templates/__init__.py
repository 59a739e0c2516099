"""Parts of an ejected program, as modules that run and are checked on their own.

A program is a choice of them, in the order of `benchdog_eject.program`: constants in capital letters get the run's
values, imports between templates fall away, all other text is copied as it is.
"""
