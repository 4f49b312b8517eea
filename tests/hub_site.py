"""Where the tests of sharing upload to, and what they upload."""

import os
import sys
import uuid

import asteroid.utils.hub_utils
import huggingface_hub
import pytest
import torch
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _http

from asteroid_latref import IterSudoRmRf
from asteroid_latref.data.licenses import WHAM_LICENSES

from .hub_server import TOKEN, Hub

REMOTE = os.environ.get("LATREF_HUB_ENDPOINT")


class Site:
    """Where the tests upload to: an endpoint, a token, and fresh repository names."""

    def __init__(self, url, token, user, hub=None):
        self.url, self.token, self.user, self.hub = url, token, user, hub

    def new(self):
        return f"{self.user}/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A hub the client talks to, an empty cache, no token of the person who runs the tests."""
    monkeypatch.setattr(asteroid.utils.hub_utils, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    if REMOTE:
        user = os.environ.get("LATREF_HUB_USER", "latref-test")
        point_client_to(monkeypatch, REMOTE.rstrip("/"))
        yield Site(REMOTE.rstrip("/"), os.environ["LATREF_HUB_TOKEN"], user)
        return
    # The client waits longer and longer between retries; here nothing gets better by waiting.
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
    with Hub() as hub:
        point_client_to(monkeypatch, hub.url)
        yield Site(hub.url, TOKEN, "me", hub)


def point_client_to(monkeypatch, url):
    """What setting HF_ENDPOINT before the start does; the command's test does just that."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    values = {"ENDPOINT": url, "HUGGINGFACE_CO_URL_TEMPLATE": template}
    old = {name: getattr(constants, name) for name in values}
    for module in [m for n, m in sys.modules.items() if n.startswith("huggingface_hub")]:
        for name, value in values.items():
            if vars(module).get(name) == old[name]:
                monkeypatch.setattr(module, name, value)


def validate(card):
    """The client's own check; before 2.0 the public one ignores the endpoint."""
    if int(huggingface_hub.__version__.split(".")[0]) < 2:
        HfApi(constants.ENDPOINT)._validate_yaml(content=str(card))
    else:
        card.validate()


@pytest.fixture
def local(site):
    if site.hub is None:
        pytest.skip("needs the server of the tests")
    return site


def model(seed=0, **args):
    torch.manual_seed(seed)
    sizes = dict(n_sub_blocks=1, bn_chan=8, hid_chan=16, n_filters=16, upsampling_depth=2)
    made = IterSudoRmRf(n_src=2, n_blocks=2, n_iters=2, exits="all", **(sizes | args))
    return made.eval()


def published(seed=0):
    """As the recipe's last stage writes it."""
    conf = model(seed).serialize()
    conf |= {"dataset": "WHAM", "task": "enh_single"}
    conf["licenses"] = WHAM_LICENSES["speech"] + WHAM_LICENSES["noise"]
    exits = [
        {"n_blocks": 1, "n_iters": [2], "si_sdr": 6.5, "si_sdr_imp": 5.123},
        {"n_blocks": 2, "n_iters": [2, 2], "si_sdr": 7.75, "si_sdr_imp": 6.375},
    ]
    conf["infos"]["final_metrics"] = {"si_sdr": 7.75, "si_sdr_imp": 6.375, "exits": exits}
    conf["infos"]["training_config"] = {
        "data": {"train_dir": "/home/someone/tr"},
        "optim": {"lr": 1e-3},
        "training": {"epochs": 200},
    }
    conf["infos"]["recipe_name"] = "egs/wham"
    return conf


@pytest.fixture
def publish_dir(tmp_path):
    folder = tmp_path / "publish_dir"
    folder.mkdir()
    torch.save(published(), folder / "model.pth")
    return folder
