"""Every registered model at a size that a test can afford: the contract test runs over them all.

A new model adds one entry: its class and constructor arguments with two exits.
"""

from asteroid_latref import (
    BloomConvTasNet,
    BloomDPRNN,
    BloomSepformer,
    GatedSudoRmRf,
    IterSudoRmRf,
)

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
    "gated_sudo_rm_rf": (
        GatedSudoRmRf,
        dict(
            n_src=2,
            n_blocks=2,
            max_iters=[2, 3],
            exits="all",
            bn_chan=8,
            hid_chan=12,
            upsampling_depth=2,
            n_filters=16,
            gate_kernel=80,
        ),
    ),
    "bloom_conv_tas_net": (
        BloomConvTasNet,
        dict(n_src=2, n_blocks=2, n_sub_blocks=2, bn_chan=8, hid_chan=12, n_filters=16),
    ),
    "bloom_dprnn": (
        BloomDPRNN,
        dict(n_src=2, n_blocks=2, bn_chan=8, hid_size=6, chunk_size=7, n_filters=16),
    ),
    "bloom_sepformer": (
        BloomSepformer,
        dict(
            n_src=2,
            n_blocks=2,
            n_layers=1,
            bn_chan=8,
            n_heads=2,
            ff_chan=12,
            chunk_size=8,
            hop_size=3,
            n_filters=16,
        ),
    ),
}
