"""Stage 4: ``python eval.py --exp_dir exp/iter --test_dir data/wav8k/min/tt``."""

import sys

from asteroid_latref.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
