"""`python -m benchdog`: the command line."""

import os
import sys

if sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 -- pathlib would cost its import
    del sys.path[0]  # the working folder may be a data set's, with a torch.py in it

from benchdog.cli import main

main()
