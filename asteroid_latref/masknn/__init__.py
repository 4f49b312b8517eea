"""Mask networks, tensors in and tensors out: norms, blocks, refinement, exits."""
