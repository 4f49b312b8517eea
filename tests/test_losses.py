import pytest
import torch
from asteroid.losses import singlesrc_neg_sisdr

from asteroid_latref.errors import LatrefError
from asteroid_latref.losses import SlotPITLoss


def test_loss_is_the_mean_over_slots_of_the_best_speech_order():
    est, targets = torch.randn(5, 3, 400), torch.randn(5, 3, 400)
    est = est + targets[:, [1, 0, 2]]
    pair = lambda i, j: singlesrc_neg_sisdr(est[:, i], targets[:, j])  # noqa: E731
    straight, swapped = pair(0, 0) + pair(1, 1), pair(0, 1) + pair(1, 0)
    expected = (torch.minimum(straight, swapped) + pair(2, 2)).mean() / 3
    torch.testing.assert_close(SlotPITLoss(2)(est, targets), expected)


def test_speech_order_is_free_and_comes_back_as_that_of_the_targets():
    targets = torch.randn(4, 3, 400)
    est = targets + 0.1 * torch.randn(4, 3, 400)
    loss = SlotPITLoss(2)
    direct, same = loss(est, targets, return_est=True)
    swapped, ordered = loss(est[:, [1, 0, 2]], targets, return_est=True)
    torch.testing.assert_close(direct, swapped)
    assert torch.equal(same, est) and torch.equal(ordered, est)


def test_noise_is_no_candidate_for_speech():
    targets = torch.randn(4, 2, 400)
    loss = SlotPITLoss(1)
    assert loss(targets[:, [1, 0]], targets) > loss(targets, targets) + 50


def test_a_model_without_noise_output_is_compared_with_the_speech_alone():
    est, targets = torch.randn(4, 2, 400), torch.randn(4, 3, 400)
    loss = SlotPITLoss(2)
    assert torch.equal(loss(est, targets), loss(est, targets[:, :2]))


@pytest.mark.parametrize("silent", ["targets", "est", "both"])
def test_silence_gives_a_finite_loss_and_finite_gradients(silent):
    est, targets = torch.randn(2, 3, 400), torch.randn(2, 3, 400)
    if silent in ("targets", "both"):
        targets[:, 0] = 0
    if silent in ("est", "both"):
        est[:, 0] = 0
    est.requires_grad_()
    loss = SlotPITLoss(2)(est, targets)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(est.grad).all()


def test_half_precision_is_computed_in_single():
    targets = 300 * torch.randn(2, 2, 4000)
    est = targets + torch.randn_like(targets)
    loss = SlotPITLoss(1)(est.half(), targets)
    assert loss.dtype == torch.float32 and torch.isfinite(loss)


@pytest.mark.parametrize(("n_est", "n_targets", "n_speech"), [(1, 3, 2), (3, 2, 2), (2, 1, 2)])
def test_slots_that_do_not_fit_are_named(n_est, n_targets, n_speech):
    with pytest.raises(LatrefError, match="n_src"):
        SlotPITLoss(n_speech)(torch.randn(1, n_est, 50), torch.randn(1, n_targets, 50))
