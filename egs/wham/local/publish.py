"""Stage 5: ``python local/publish.py --exp_dir exp/iter``."""

import sys

from asteroid_latref.publish import main

if __name__ == "__main__":
    sys.exit(main())
