"""``python local/bundle_examples.py --json_dir data/wav8k/min/tt --exp_dir exp/TAG``."""

import sys

from asteroid_latref.bundling_examples import main

if __name__ == "__main__":
    sys.exit(main())
