import pytest
import torch

from asteroid_latref import BloomConvTasNet, BloomDPRNN, BloomSepformer, IterSudoRmRf
from asteroid_latref.flops import count_flops
from asteroid_latref.saved import saved_for_backward

from ..zoo import ZOO

# What a gate leaves out is tested with the gate.
GROWING = [name for name in ZOO if "gated" not in name]


@pytest.fixture(params=sorted(GROWING))
def model(request):
    torch.manual_seed(0)
    model_class, args = ZOO[request.param]
    return model_class(**{**args, "exits": "all"})


def one_step(model):
    """One optimizer step on what is trainable; everything that has a gradient moves."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=0.1)
    model(torch.randn(2, 1, 900)).square().sum().backward()
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
    optimizer.step()


def test_a_step_moves_the_last_block_and_its_exit_alone(model):
    wav = torch.randn(2, 1, 801)
    grown = model.grow().freeze_before_last()
    last = grown.n_blocks
    before = {name: p.detach().clone() for name, p in grown.named_parameters()}
    with torch.no_grad():
        exits = grown.eval().forward_exits(wav)
    one_step(grown.train())
    mine = (f"masker.blocks.{last - 1}.", f"masker.mask_nets.{last}.", f"decoder.{last}.")
    for name, p in grown.named_parameters():
        assert p.requires_grad == name.startswith(mine)
        if not p.requires_grad:
            assert torch.equal(p, before[name]), name
    moved = {name for name, p in grown.named_parameters() if not torch.equal(p, before[name])}
    assert all(any(name.startswith(part) for name in moved) for part in mine)
    with torch.no_grad():
        after = grown.eval().forward_exits(wav)
    for earlier, now in zip(exits[:-1], after[:-1], strict=True):
        assert torch.equal(earlier, now)
    assert not torch.allclose(exits[-1], after[-1])


@torch.no_grad()
def test_cut_with_the_earlier_exits(model):
    wav = torch.randn(2, 1, 801)
    whole = model.grow().eval()
    for k in range(1, whole.n_blocks + 1):
        cut = whole.truncate(k, exits="all")
        assert cut.exit_blocks == tuple(range(1, k + 1))
        for j in cut.exit_blocks:
            assert torch.equal(cut(wav, n_blocks=j), whole(wav, n_blocks=j))
        assert torch.equal(whole.truncate(k)(wav), whole(wav, n_blocks=k))


@torch.no_grad()
def test_a_copied_exit_starts_from_the_last_one(model):
    last, new = str(model.n_blocks), str(model.n_blocks + 1)
    cold, warm = model.grow(), model.grow(warm_exit=True)
    for grown, copied in ((cold, False), (warm, True)):
        ours, theirs = grown.masker.mask_nets[new], grown.masker.mask_nets[last]
        pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == copied
        pairs = zip(grown.decoder[new].parameters(), grown.decoder[last].parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == copied
    own = {id(p) for p in warm.decoder[last].parameters()}
    assert not own & {id(p) for p in warm.decoder[new].parameters()}


def test_a_grown_block_is_iterated_as_often_as_the_last():
    model = IterSudoRmRf(2, n_blocks=2, n_iters=[1, 3], n_sub_blocks=1, bn_chan=4, hid_chan=4)
    assert model.n_iters == (1, 3)
    assert model.grow().n_iters == (1, 3, 3)
    assert model.grow().truncate(3).n_iters == (1, 3, 3)


@pytest.fixture(scope="module")
def end_to_end_bytes():
    model = IterSudoRmRf(n_src=3, n_sub_blocks=16)
    return saved_for_backward(model, lambda: model(torch.randn(1, 1, 3200)))


@pytest.mark.parametrize(
    ("n_blocks", "n_sub_blocks", "n_iters", "most"),
    [
        (2, 8, 1, 0.55),
        (2, 4, 2, 0.55),
        (2, 2, 4, 0.55),
        (4, 4, 1, 0.33),
        (4, 2, 2, 0.33),
        (4, 1, 4, 0.33),
    ],
)
def test_memory_of_table_2(n_blocks, n_sub_blocks, n_iters, most, end_to_end_bytes):
    """LIR Table 2: bytes saved for backward against 1×16 end to end, at the paper's widths."""
    wav = torch.randn(1, 1, 3200)
    sizes = dict(n_src=3, n_sub_blocks=n_sub_blocks, n_iters=n_iters, exits="all")
    first = IterSudoRmRf(**sizes)
    second = first.grow().freeze_before_last()
    for model in (first, second):  # later steps need what the second needs: see below
        assert saved_for_backward(model, lambda m=model: m(wav)) <= most * end_to_end_bytes


@pytest.mark.parametrize(
    "model",
    [
        IterSudoRmRf(
            n_src=2, n_blocks=4, n_iters=2, exits="all", bn_chan=8, hid_chan=12, n_filters=16
        ),
        BloomConvTasNet(n_blocks=4, bn_chan=8, hid_chan=12, n_filters=16),
        BloomDPRNN(n_blocks=4, bn_chan=8, hid_size=6, chunk_size=10, n_filters=16),
        BloomSepformer(
            n_blocks=4, n_layers=1, bn_chan=8, n_heads=2, ff_chan=12, chunk_size=10, n_filters=16
        ),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_frozen_depth_costs_no_memory(model):
    """A step needs the memory of one block and one exit, however many blocks are below."""
    wav = torch.randn(1, 1, 1600)
    whole = saved_for_backward(model, lambda: model(wav))
    steps = []
    for k in (2, 3, 4):
        cut = model.truncate(k, exits="all").freeze_before_last()
        steps.append(saved_for_backward(cut, lambda m=cut: m(wav)))
    assert steps[0] == steps[1] == steps[2]
    assert 0 < steps[0] < 0.5 * whole


@torch.no_grad()
def test_an_exit_does_no_work_of_later_blocks(model):
    wav = torch.randn(1, 1, 900)
    grown = model.eval().grow().eval()
    for k in model.exit_blocks:
        flops = count_flops(lambda k=k: grown(wav, n_blocks=k))
        assert 0 < flops == count_flops(lambda k=k: model.truncate(k)(wav))
    assert count_flops(lambda: grown(wav)) > flops


def test_cutting_where_there_is_no_exit_is_refused(model):
    with pytest.raises(ValueError, match="n_blocks=7"):
        model.truncate(7)
    with pytest.raises(ValueError, match="only its last exit"):
        model.truncate(model.n_blocks).truncate(model.n_blocks, exits="all")
