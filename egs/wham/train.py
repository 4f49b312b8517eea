"""Stage 3: ``python train.py --conf local/conf/iter.yml --exp_dir exp/iter [--key value ...]``."""

import sys

from asteroid_latref.engine.experiment import main

if __name__ == "__main__":
    sys.exit(main())
