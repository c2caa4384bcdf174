"""`python -m plansmith`."""

import sys

from plansmith.cli import main

sys.exit(main())
