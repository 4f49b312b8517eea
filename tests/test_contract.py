"""What every registered model owes its users, whatever its family."""

import warnings

import pytest
import torch
from asteroid import models as asteroid_models
from asteroid.models import BaseModel

import asteroid_latref
from asteroid_latref.models import LatentRefinementModel
from tests.zoo import ZOO

LENGTHS = [1, 2, 15, 16, 17, 161, 1001]


@pytest.fixture(params=sorted(ZOO))
def model(request):
    torch.manual_seed(0)
    model_class, args = ZOO[request.param]
    return model_class(**args).eval()


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()) + 1e-7)


def test_zoo_holds_every_registered_model():
    registered = {
        name
        for name, found in vars(asteroid_models).items()
        if isinstance(found, type) and issubclass(found, LatentRefinementModel)
    }
    assert registered == {model_class.__name__ for model_class, _ in ZOO.values()}
    assert registered <= set(asteroid_latref.__all__)


@torch.no_grad()
@pytest.mark.parametrize("time", LENGTHS)
def test_shapes_and_lengths(model, time):
    wav = torch.randn(2, 1, time)
    batch = model(wav)
    assert batch.shape == (2, model.n_src, time)
    assert torch.isfinite(batch).all()
    assert close(model(wav[:, 0]), batch)
    assert model(wav[0, 0]).shape == (model.n_src, time)
    assert close(model(wav[0, 0]), batch[0])


@torch.no_grad()
def test_batch_of_n_is_n_batches_of_one(model):
    wav = torch.randn(3, 1, 777) * torch.tensor([0.01, 1.0, 10.0]).view(3, 1, 1)
    assert close(model(wav), torch.cat([model(w[None]) for w in wav]))


@torch.no_grad()
def test_silence_gives_finite_sound(model):
    assert torch.isfinite(model(torch.zeros(1, 500))).all()


def test_every_trainable_parameter_gets_a_gradient(model):
    model.train()
    torch.stack(model.forward_exits(torch.randn(2, 1, 800))).square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


@torch.no_grad()
def test_asteroid_steps_compose_to_forward(model):
    wav = torch.randn(2, 1, 640)
    tf_rep = model.forward_encoder(wav)
    decoded = model.forward_decoder(model.apply_masks(tf_rep, model.forward_masker(tf_rep)))
    assert close(decoded[..., :640], model(wav))


@torch.no_grad()
def test_exits_agree_with_forward_and_truncate(model):
    wav = torch.randn(2, 1, 643)
    exits = model.forward_exits(wav)
    assert len(exits) == len(model.exit_blocks) == 2
    for k, estimate in zip(model.exit_blocks, exits, strict=True):
        small = model.truncate(n_blocks=k)
        assert small.n_blocks == k and set(small.state_dict()) <= set(model.state_dict())
        assert torch.equal(model(wav, n_blocks=k), estimate)
        assert torch.equal(small(wav), estimate)
    assert not torch.allclose(exits[0], exits[1])


@torch.no_grad()
def test_grown_model_keeps_earlier_exits(model):
    wav = torch.randn(2, 1, 640)
    grown = model.grow()
    assert grown.n_blocks == model.n_blocks + 1
    for k in model.exit_blocks:
        assert torch.equal(grown(wav, n_blocks=k), model(wav, n_blocks=k))


@torch.no_grad()
@pytest.mark.parametrize("loader", [LatentRefinementModel, BaseModel], ids=["own", "asteroid"])
def test_reload_with_the_safe_loader(model, loader, tmp_path):
    path = str(tmp_path / "model.pth")
    torch.save(model.serialize(), path)
    assert torch.load(path, weights_only=True)["model_args"] == model.get_model_args()
    wav = torch.randn(1, 1, 640)
    loaded = loader.from_pretrained(path).eval()
    assert type(loaded) is type(model)
    assert torch.equal(loaded(wav), model(wav))


@torch.no_grad()
def test_from_pretrained_at_an_operating_point(model):
    wav = torch.randn(1, 1, 640)
    small = type(model).from_pretrained(model.serialize(), n_blocks=1).eval()
    assert small.n_blocks == 1
    assert torch.equal(small(wav), model(wav, n_blocks=1))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
def test_trace_follows_any_shape(model):
    wav = torch.randn(2, 1, 640)
    traced = torch.jit.trace(model, wav)
    for shape in [(640,), (333,), (3, 1001), (1, 1, 321), (4, 1, 2000)]:
        wav = torch.randn(shape)
        assert close(traced(wav), model(wav))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
def test_export_follows_batch_and_time(model):
    # torch.export unrolls recurrent layers, so their number of steps is the one it was shown.
    recurrent = any(isinstance(module, torch.nn.RNNBase) for module in model.modules())
    free = [0] if recurrent else [0, 2]
    dynamic = {"wav": dict.fromkeys(free, torch.export.Dim.AUTO)}
    program = torch.export.export(model, (torch.randn(2, 1, 800),), dynamic_shapes=dynamic)
    exported = program.module()
    for batch, time in [(3, 801), (2, 1999), (5, 4000)]:
        shape = (batch, 1, 800 if recurrent else time)
        wav = torch.randn(shape)
        assert close(exported(wav), model(wav))


def test_wrong_use_is_refused(model):
    args = model.get_model_args()
    with pytest.raises(TypeError, match="n_blok"):
        type(model)(**args, n_blok=3)
    with pytest.raises(ValueError, match="n_src"):
        type(model)(**{**args, "n_src": 0})
    with pytest.raises(ValueError, match="exits"):
        type(model)(**{**args, "exits": "first"})
    with pytest.raises(ValueError, match="mix down"):
        model(torch.randn(1, 2, 640))
    with pytest.raises(ValueError, match="n_blocks"):
        model(torch.randn(1, 640), n_blocks=3)


def test_registering_twice_is_no_error(model):
    from asteroid_latref.models.registry import register

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register(type(model))
    assert asteroid_models.get(type(model).__name__.lower()) is type(model)
