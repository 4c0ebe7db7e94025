"""`python -m jatlab` is the command `jatlab`."""

import sys

from jatlab.cli import main

sys.exit(main())
