"""Stage 4 of a model with several exits: ``python local/depth.py --exp_dir exp/TAG``."""

import sys

from asteroid_latref.depth import main

if __name__ == "__main__":
    sys.exit(main())
