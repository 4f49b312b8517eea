"""Every registered model at a size that a test can afford: the contract test runs over them all.

A new model adds one entry: its class and constructor arguments with two exits.
"""

from asteroid_latref import IterSudoRmRf

ZOO = {
    "iter_sudo_rm_rf.joint": (
        IterSudoRmRf,
        dict(
            n_src=3,
            n_blocks=2,
            n_sub_blocks=1,
            n_iters=2,
            exits="all",
            bn_chan=8,
            hid_chan=16,
            upsampling_depth=3,
            n_filters=16,
        ),
    ),
    "iter_sudo_rm_rf.shared": (
        IterSudoRmRf,
        dict(
            n_src=2,
            n_blocks=2,
            n_sub_blocks=2,
            n_iters=[1, 2],
            exits="all",
            bn_chan=8,
            hid_chan=12,
            upsampling_depth=2,
            mask_act="softmax",
            n_filters=16,
            kernel_size=16,
            stride=8,
            decoder="shared",
            checkpoint_iters=True,
        ),
    ),
}
