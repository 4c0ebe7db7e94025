import sys

from jatlab.cli import main

sys.exit(main())
