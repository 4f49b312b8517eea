"""Online remixing: permutations, energies, sums."""

import pytest
import torch

from asteroid_latref.data import remix

SHAPE = (6, 3, 400)


@pytest.fixture
def targets():
    generator = torch.Generator().manual_seed(1)
    levels = torch.rand(SHAPE[:2], generator=generator).mul(4).exp()[..., None]
    return torch.randn(SHAPE, generator=generator) * levels


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def origins(before, after):
    """For each example and slot of ``after``, which example of ``before`` it is a multiple of."""

    def unit(x):
        return x / x.norm(dim=-1, keepdim=True)

    likeness = torch.einsum("ist,jst->sij", unit(after), unit(before))  # (slots, batch, batch)
    best, index = likeness.max(-1)
    assert torch.allclose(best, torch.ones_like(best), atol=1e-5)
    return index


def test_mixture_is_the_sum_of_the_slots(targets):
    mixture, new = remix(targets, seeded())
    assert mixture.shape == (SHAPE[0], SHAPE[2]) and new.shape == SHAPE
    assert torch.equal(mixture, new.sum(1))


def test_every_slot_keeps_its_energy_in_every_example(targets):
    _, new = remix(targets, seeded())
    torch.testing.assert_close(new.square().sum(-1), targets.square().sum(-1), rtol=1e-4, atol=0)


def test_each_slot_is_a_permutation_and_the_slots_differ(targets):
    _, new = remix(targets, seeded())
    index = origins(targets, new)
    for slot in index:
        assert sorted(slot.tolist()) == list(range(SHAPE[0]))
    assert len({tuple(slot.tolist()) for slot in index}) > 1


def test_every_example_comes_to_every_place(targets):
    seen = {
        (i, int(j))
        for s in range(60)
        for i, j in enumerate(origins(targets, remix(targets, seeded(s))[1])[0])
    }
    assert len(seen) == SHAPE[0] ** 2


def test_same_generator_same_result_and_the_input_is_left_alone(targets):
    before = targets.clone()
    first, second, other = (remix(targets, seeded(s))[0] for s in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(targets, before)


def test_batch_of_one_is_unchanged(targets):
    one = targets[:1]
    mixture, new = remix(one, seeded())
    assert torch.equal(new, one) and torch.equal(mixture, one.sum(1))


def test_silence(targets):
    targets[0, 0] = 0.0
    targets[:, 2] = 0.0
    for seed in range(10):
        mixture, new = remix(targets, seeded(seed))
        assert torch.isfinite(mixture).all()
        # A slot that was silent stays so; one that silence comes to keeps its own signal.
        torch.testing.assert_close(
            new.square().sum(-1), targets.square().sum(-1), rtol=1e-4, atol=0
        )


def test_gradients_and_global_generator(targets):
    torch.manual_seed(0)
    first = remix(targets)[0]
    torch.manual_seed(0)
    assert torch.equal(first, remix(targets)[0])
