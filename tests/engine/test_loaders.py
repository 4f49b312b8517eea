import pytest
import torch
from torch import distributed

from asteroid_latref.data.wham import WhamDataset
from asteroid_latref.engine.conf import TrainingConf
from asteroid_latref.engine.loaders import EpochSampler, make_loaders
from asteroid_latref.errors import LatrefError


class Counting(torch.utils.data.Dataset):
    epoch = 0

    def __init__(self, n_items):
        self.n_items = n_items

    def __len__(self):
        return self.n_items

    def __getitem__(self, index):
        return index

    set_epoch = WhamDataset.set_epoch
    _epoch = torch.zeros((), dtype=torch.int64)


def training(**changes):
    values = dict(epochs=1, batch_size=4, num_workers=0, seed=0, remix=True, gradient_clip=5.0)
    return TrainingConf(**{**values, **changes})


def test_order_depends_on_seed_and_epoch_alone():
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1, 2):
            sampler = EpochSampler(Counting(50), seed)
            sampler.set_epoch(epoch)
            orders[seed, epoch] = tuple(sampler)
            assert tuple(sampler) == orders[seed, epoch]
            assert sorted(sampler) == list(range(50))
    assert len(set(orders.values())) == 6


def test_the_epoch_reaches_the_data_set():
    train, valid = make_loaders(Counting(8), Counting(4), training())
    train.sampler.set_epoch(5)
    assert int(train.dataset._epoch) == 5
    valid.sampler.set_epoch(6)
    assert int(train.dataset._epoch) == 5, "validation crops must not move"


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_one_order(monkeypatch, world):
    alone = list(EpochSampler(Counting(10), seed=3))
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: world)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        parts.append(list(EpochSampler(Counting(10), seed=3)))
        assert len(parts[-1]) == len(EpochSampler(Counting(10), seed=3))
    together = [index for step in zip(*parts, strict=True) for index in step]
    assert together[:10] == alone
    assert together[10:] == alone[: len(together) - 10]


def test_a_last_incomplete_batch_is_left_out_unless_it_is_all_there_is():
    assert [len(b) for b in make_loaders(Counting(10), Counting(10), training())[0]] == [4, 4]
    assert [len(b) for b in make_loaders(Counting(3), Counting(10), training())[0]] == [3]
    assert [len(b) for b in make_loaders(Counting(3), Counting(10), training())[1]] == [4, 4, 2]


def test_empty_sets_are_refused():
    with pytest.raises(LatrefError, match="validation set has no items"):
        make_loaders(Counting(3), Counting(0), training())
