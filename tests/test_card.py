"""The folder that is shared, and its card."""
# ruff: noqa: F811  (fixtures are imported)

import json

import pytest
import torch
from huggingface_hub import ModelCard

from asteroid_latref.credits import hub_license
from asteroid_latref.data.licenses import license_dict
from asteroid_latref.errors import LatrefError
from asteroid_latref.hub import CARD, CONFIG, WEIGHTS, push_to_hub, write_folder

from .hub_site import local, model, publish_dir, site, validate  # noqa: F401


def test_dry_run_writes_the_folder_and_asks_nobody(local, publish_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = push_to_hub(publish_dir, "me/my-model", dry_run=True)
    assert (shared.folder.name, shared.url, local.hub.requests) == ("my-model", None, [])
    names = {path.name for path in shared.folder.iterdir()}
    assert names == {WEIGHTS, CONFIG, CARD, "LICENSE.md"}
    config = json.loads((shared.folder / CONFIG).read_text())
    assert config["model_args"] == model().get_model_args()
    assert config["outputs"] == ["s1", "noise"]
    sent = torch.load(shared.folder / WEIGHTS, weights_only=True)
    assert sent["infos"]["training_config"]["data"] == {"train_dir": "tr"}
    push_to_hub(publish_dir, "me/my-model", dry_run=True)  # again: its own files are replaced
    (shared.folder / "notes.txt").write_text("mine")
    with pytest.raises(LatrefError, match="my-model: exists"):
        push_to_hub(publish_dir, "me/my-model", dry_run=True)


def test_card_is_valid_and_parses_back_to_the_same_figures(site, publish_dir, tmp_path):
    folder = write_folder(publish_dir, "me/my-model", tmp_path / "out")
    card = ModelCard.load(folder / CARD)
    validate(card)
    data = card.data
    assert (data.library_name, data.pipeline_tag) == ("asteroid", "audio-to-audio")
    assert {"asteroid", "audio", "audio-to-audio", "IterSudoRmRf"} <= set(data.tags)
    assert data.datasets == ["wham"] and data.model_name == "my-model"
    found = {(r.metric_name, r.metric_value) for r in data.eval_results}
    assert found == {
        ("SI-SDRi (dB)", 6.375),
        ("SI-SDR (dB)", 7.75),
        ("SI-SDRi (dB), 1 block(s)", 5.123),
    }
    assert data.license == "other" and "non-commercial" in data.license_name
    for words in (
        "import asteroid_latref",
        "| 1 | 2 | ",
        "| 5.12 |",
        "| 2 | 1, 1 | ",
        "not measured",
        "epochs: 200",
        "Non-commercial use only",
        "CSR-I (WSJ0) Complete",
        f"torch: {torch.__version__}",
    ):
        assert words in card.text


def test_card_of_a_bare_model_admits_what_it_does_not_know(site, tmp_path):
    folder = write_folder(model(), "me/bare", tmp_path / "out")
    card = ModelCard.load(folder / CARD)
    validate(card)
    assert card.data.license == "unknown" and card.data.eval_results is None
    for words in ("Not evaluated.", "Recipe: not recorded.", "licences of the training data were"):
        assert words in card.text


def test_infos_fill_gaps_only(tmp_path):
    extra = {"task": "sep_clean", "infos": {"recipe_name": "mine", "software_versions": "no"}}
    write_folder(model(), "me/bare", tmp_path / "out", extra)
    assert json.loads((tmp_path / "out" / CONFIG).read_text())["task"] == "sep_clean"
    text = (tmp_path / "out" / CARD).read_text()
    assert "Recipe: `mine`." in text and f"torch: {torch.__version__}" in text


def test_equal_models_are_equal_files(tmp_path):
    for name in ("a", "b"):
        write_folder(model(), "me/m", tmp_path / name)
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_asteroids_own_models_can_be_shared_too(tmp_path):
    from asteroid.models import ConvTasNet

    net = ConvTasNet(n_src=2, n_filters=8, bn_chan=4, hid_chan=4, skip_chan=4, n_repeats=1)
    conf = net.serialize()
    folder = write_folder(conf, "me/conv", tmp_path / "out")
    assert "One: this model runs as it was trained." in (folder / CARD).read_text()


@pytest.mark.parametrize(
    "names, expected",
    [
        (["CC BY-SA 3.0"], "cc-by-sa-3.0"),
        (["CC BY 4.0", "CC-BY-SA 4.0 International"], "cc-by-sa-4.0"),
        (["CC BY-SA 3.0", "CC BY-SA 4.0"], "other"),
        (["CC BY-SA 3.0", "CC BY-NC 4.0"], "other"),
        (["Public Domain", "CC BY 4.0"], "cc-by-4.0"),
        (["House rules"], "other"),
        ([], "unknown"),
    ],
)
def test_licence_is_the_strictest_that_covers_all(names, expected):
    credits = [license_dict("t", "", "a", "", (n, ""), "NC" in n) for n in names]
    found = hub_license(credits)
    assert found["license"] == expected
    if expected == "other":
        assert ("non-commercial" in found["license_name"]) == any("NC" in n for n in names)
