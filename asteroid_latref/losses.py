"""Negative SI-SDR with permutations over the speech slots only."""

import torch
from asteroid.losses import PITLossWrapper, pairwise_neg_sisdr
from torch import Tensor, nn

from .errors import LatrefError


class SlotPITLoss(nn.Module):
    """Negative SI-SDR in dB, mean over the target slots (LIR §3.1).

    The speech slots come first and their order is free, so the best permutation counts. What
    follows (the noise) is not interchangeable with speech and is compared in place. A model without
    a noise output, ``n_speech`` estimates only, is compared with the speech slots alone.

    Silent targets give a large, finite loss and no gradient. The loss is computed in float32 at
    least, whatever the precision of the network.

    Args:
        n_speech: number of speech slots.

    Shape:
        - est: ``(batch, n_slots, time)`` or ``(batch, n_speech, time)``
        - targets: ``(batch, n_slots, time)``
        - output: scalar; with ``return_est``, also the estimates in the order of the targets

    Raises:
        LatrefError: the numbers of slots do not fit together.

    Examples:
        >>> targets = torch.randn(2, 3, 800)
        >>> loss = SlotPITLoss(n_speech=2)
        >>> swapped = targets[:, [1, 0, 2]]
        >>> bool(torch.isclose(loss(swapped, targets), loss(targets, targets)))
        True
        >>> bool(loss(targets[:, [0, 2, 1]], targets) > loss(targets, targets) + 20)
        True
    """

    def __init__(self, n_speech: int) -> None:
        super().__init__()
        if n_speech < 1:
            raise LatrefError(f"n_speech is {n_speech}; a loss needs one speech slot at least")
        self.n_speech = n_speech
        self._pit = PITLossWrapper(pairwise_neg_sisdr, pit_from="pw_mtx")

    def forward(
        self, est: Tensor, targets: Tensor, return_est: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """The loss of ``est`` against ``targets``."""
        n_est, n_slots = est.shape[1], targets.shape[1]
        if n_slots < self.n_speech or n_est not in (self.n_speech, n_slots):
            raise LatrefError(
                f"{n_est} estimates and {n_slots} targets do not fit {self.n_speech} speech slots;"
                " check the model's n_src and the task"
            )
        est, targets = (x if x.dtype == torch.float64 else x.float() for x in (est, targets))
        n = self.n_speech
        speech_loss, ordered = self._pit(est[:, :n], targets[:, :n], return_est=True)
        losses = [speech_loss] * n
        for slot in range(n, n_est):
            one = slice(slot, slot + 1)
            losses.append(pairwise_neg_sisdr(est[:, one], targets[:, one]).mean())
        loss = torch.stack(losses).mean()
        if not return_est:
            return loss
        return loss, torch.cat([ordered, est[:, n:]], dim=1)
