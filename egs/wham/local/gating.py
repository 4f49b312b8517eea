"""Stage 4 of a gated model: ``python local/gating.py --exp_dir exp/gated --test_dir DIR``."""

import sys

from asteroid_latref.gating import main

if __name__ == "__main__":
    sys.exit(main())
