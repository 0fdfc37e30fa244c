"""``python -m cryvision``."""

import sys

from cryvision.cli import main

if __name__ == "__main__":
    sys.exit(main())
