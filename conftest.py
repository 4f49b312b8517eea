"""What every test starts from: one thread, one seed, no display, no writing outside tmp_path."""

import os
import random

os.environ.setdefault("OMP_NUM_THREADS", "1")  # also for the processes that tests start
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
import torch

import asteroid_latref  # noqa: F401  # first: tests that import asteroid need its repairs

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True)
def _seed():
    """The same random numbers whatever ran before, doctests included."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (Asteroid draws from it)
    torch.manual_seed(0)
