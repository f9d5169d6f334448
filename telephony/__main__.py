"""``python -m telephony``."""

import sys

from telephony.cli import main

if __name__ == "__main__":
    sys.exit(main())
