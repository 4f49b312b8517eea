"""From an experiment to a bundled model: whole, small, honest, and free of this machine."""
# ruff: noqa: F811  (fixtures are imported)

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from asteroid_latref import GatedSudoRmRf, IterSudoRmRf, bundling, bundling_examples
from asteroid_latref.bundling import bundle, bundled_card, check_shippable
from asteroid_latref.bundling_examples import choose
from asteroid_latref.engine.experiment import train_experiment
from asteroid_latref.errors import LatrefError
from asteroid_latref.golden import golden_outputs, read_golden, write_golden
from asteroid_latref.models.serialization import load_conf
from asteroid_latref.training_run import training_stages

from .cli_tools import listing, make
from .shelf import COMMAND, CREDITS, empty_shelf, experiment, no_hub, shelf  # noqa: F401
from .tiny import make_conf


def copied(experiment, tmp_path):
    return shutil.copytree(experiment[0], tmp_path / "exp")


def test_card_says_what_the_experiment_was(shelf, experiment):
    final = json.loads((experiment[0] / "final_metrics.json").read_text())
    card = ModelCard.load(shelf / "tiny-8k" / "README.md")
    for words in (
        "latref separate latref/tiny-8k recording.wav",
        "latref demo latref/tiny-8k",
        'IterSudoRmRf.from_pretrained("latref/tiny-8k")',
        f"```bash\n{COMMAND}\n```",
        "Optimizer steps: 4 in 2 epochs",
        "Hardware: a desk, 1 thread",
        "Seeds: training 0, mixtures 3",
        "3 mixtures of the test set of TinyCorpus",
        "## Limits\n\n- 8000 Hz: nothing above 4 kHz",
        "[Tones](https://tones.example) by Ann, used under CC BY 4.0",
        "[Hiss](https://hiss.example) by Bo, used under CC BY-SA 4.0",
        *(f"| {row['si_sdr_imp']:.2f} |" for row in final["exits"]),
    ):
        assert words in card.text, words
    assert card.data.license == "cc-by-sa-4.0"
    found = [r.metric_value for r in card.data.eval_results if r.metric_type == "si-sdri"]
    assert sorted(found) == sorted(round(row["si_sdr_imp"], 4) for row in final["exits"])


def test_nothing_of_this_machine_is_shipped(shelf, experiment, tmp_path):
    conf = torch.load(shelf / "tiny-8k" / "model.pth", weights_only=True)
    stored = yaml.safe_load((experiment[0] / "conf.yml").read_text())["data"]["train_dir"]
    assert stored.startswith("/") and conf["infos"]["training_config"]["data"]["train_dir"] == "tr"
    for path in [*shelf.rglob("*"), tmp_path / "golden" / "tiny-8k.npz"]:
        if path.is_file():
            assert stored.rpartition("/json")[0].encode() not in path.read_bytes(), path


def test_bundling_again_gives_the_same_bytes(shelf, experiment, tmp_path):
    before = {p: p.read_bytes() for p in shelf.rglob("*") if p.is_file()}
    bundle(experiment[0], "tiny-8k", COMMAND, tmp_path / "again", hardware="a desk, 1 thread")
    assert before == {p: p.read_bytes() for p in shelf.rglob("*") if p.is_file()}
    golden = [read_golden(tmp_path / name / "tiny-8k.npz") for name in ("golden", "again")]
    assert golden[0].keys() == golden[1].keys() == {"1/1", "2/1,1"}


def test_points_that_are_no_exits_are_measured_on_request(empty_shelf, experiment, tmp_path):
    exp_dir = copied(experiment, tmp_path)
    model = make(n_iters=2)
    model.task = "enh_single"
    stored = torch.load(exp_dir / "best_model.pth", weights_only=True)
    torch.save({**stored, **model.serialize()}, exp_dir / "best_model.pth")
    for name, test_dir in (("plain", None), ("measured", experiment[1])):
        folder = bundle(exp_dir, name, COMMAND, tmp_path / "golden", test_dir=test_dir)
        measured = load_conf(str(folder))["infos"]["final_metrics"].get("points", [])
        text = (folder / "README.md").read_text().split("## Results")[0]
        points = [(row["n_blocks"], row["n_iters"]) for row in measured]
        assert points == ([] if test_dir is None else [(1, [1]), (2, [1, 1])])
        assert all(f"{row['si_sdr_imp']:.2f} |" in text for row in measured)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda exp: (exp / "final_metrics.json").unlink(), "evaluate first"),
        (lambda exp: (exp / "best_model.pth").unlink(), "finish the training"),
        (lambda exp: shutil.rmtree(exp / "checkpoints"), "the steps taken are unknown"),
    ],
)
def test_an_unfinished_experiment_writes_nothing(
    empty_shelf, experiment, tmp_path, break_it, words
):
    exp_dir = copied(experiment, tmp_path)
    break_it(exp_dir)
    with pytest.raises(LatrefError, match=words):
        bundle(exp_dir, "tiny-8k", COMMAND, tmp_path / "golden")
    assert not empty_shelf.exists() and not (tmp_path / "golden").exists()


@pytest.mark.parametrize("name", ["examples", "Tiny", "a/b", "../x", ""])
def test_names_are_plain(empty_shelf, experiment, tmp_path, name):
    with pytest.raises(LatrefError, match="--name"):
        bundle(experiment[0], name, COMMAND, tmp_path / "golden")


def test_large_models_are_refused(shelf, experiment, tmp_path, monkeypatch):
    before = listing(shelf)
    size = sum(p.stat().st_size for p in shelf.rglob("*") if p.is_file())
    for limit, value in (("MOST_PER_MODEL", 9_999), ("MOST_IN_ALL", size + 10_000)):
        monkeypatch.undo()
        monkeypatch.setattr(bundling.bundled, "WEIGHTS_DIR", shelf)
        monkeypatch.setattr(bundling, limit, value)
        with pytest.raises(LatrefError, match=r"at most"):
            bundle(experiment[0], "other-8k", COMMAND, tmp_path / "golden")
        assert listing(shelf) == before


@pytest.mark.parametrize(
    "command",
    ["./run.sh --speech_dir /home/me/speech", "cd ~/latref && ./run.sh", "./run.sh --conf=/x.yml",
     "./run.sh --speech_dir ../../../recordings"],
)  # fmt: skip
def test_paths_of_this_machine_are_refused(empty_shelf, experiment, tmp_path, command):
    with pytest.raises(LatrefError, match="names a path of this machine"):
        bundle(experiment[0], "tiny-8k", command, tmp_path / "golden")
    assert not empty_shelf.exists()


def test_placeholders_and_links_are_no_paths_of_this_machine():
    check_shippable(
        {
            "licenses": CREDITS["speech"],
            "infos": {"command": "./run.sh --speech_dir /path/to/speech -- --lr 1e-3"},
            "more": ["see https://a.example/b/c and 1/2", "data/wav8k/min/tr"],
        }
    )


def test_recordings_without_a_licence_are_not_shipped():
    unknown = {**CREDITS["noise"][0], "title": "Found on a disk", "license": "not stated"}
    for licenses in ([], [*CREDITS["speech"], unknown]):
        with pytest.raises(LatrefError, match=r"(unknown recordings|Found on a disk), whose"):
            check_shippable({"licenses": licenses})


def test_more_than_tensors_is_refused(empty_shelf, experiment, tmp_path):
    exp_dir = copied(experiment, tmp_path)
    stored = torch.load(exp_dir / "best_model.pth", weights_only=True)
    torch.save({**stored, "extra": torch.nn.Linear(1, 1)}, exp_dir / "best_model.pth")
    with pytest.raises(LatrefError, match="more than tensors and plain values"):
        bundle(exp_dir, "tiny-8k", COMMAND, tmp_path / "golden")


def test_steps_of_all_stages_and_of_no_baseline(tmp_path, experiment):
    conf = make_conf(tmp_path, experiment[1].parent, "--epochs", "3")
    section = {"warm_exits": False, "finetune_epochs": 1, "finetune_lr": 1e-3}
    path = tmp_path / "conf.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "progressive": section}))
    conf = bundling_conf(path, experiment[1].parent)
    train_experiment(conf, tmp_path / "exp")
    shutil.copytree(tmp_path / "exp" / "step1", tmp_path / "exp" / "fixed3" / "joint")
    stages = training_stages(tmp_path / "exp")
    assert [(s["name"], s["epochs"], s["optimizer_steps"]) for s in stages] == [
        ("step1", 2, 4),
        ("step2", 1, 2),
        ("finetune", 1, 2),
    ]


def bundling_conf(path, json_dir):
    from asteroid_latref.engine.conf import load_conf as load

    dirs = ["--train_dir", str(json_dir / "tr"), "--valid_dir", str(json_dir / "cv")]
    return load(path, [*dirs, "--epochs", "3"])


def test_card_of_a_gate_keeps_its_choice_apart_from_fixed_steps():
    sizes = dict(n_sub_blocks=1, bn_chan=8, hid_chan=8, n_filters=8, upsampling_depth=2)
    gated = GatedSudoRmRf(n_src=2, max_iters=2, gate_kernel=20, **sizes)
    conf = {**gated.serialize(), "task": "enh_single", "dataset": "Tiny"}
    conf["infos"]["final_metrics"] = {
        "n_items": 3,
        "exits": [{"n_blocks": 1, "n_iters": [2], "si_sdr_imp": 7.77}],
        "points": [{"n_blocks": 1, "n_iters": [n], "si_sdr_imp": 5.0 + n} for n in (1, 2)],
        "gate": {"mean_steps": 1.25, "shares": {"1": 0.75, "2": 0.25}, "si_sdr_imp": 7.77},
    }
    points, _, figures = bundled_card(conf, "g").partition("## Results")
    points = points.split("## Operating points")[1]
    assert "| 6.00 |" in points and "| 7.00 |" in points and "7.77" not in points
    assert "| 7.77 |" in figures and "1.25 steps on average: 1 for 75 %, 2 for 25 %" in figures


# ---- golden outputs ----------------------------------------------------------------------------


def test_golden_outputs_cover_every_point_and_see_a_change(tmp_path):
    model = make(n_iters=[1, 2])
    found = golden_outputs(model)
    assert set(found) == {"1/1", "2/1,1", "2/1,2"}
    write_golden(tmp_path / "g.npz", found)
    stored = read_golden(tmp_path / "g.npz")
    assert all(np.array_equal(stored[key], value) for key, value in found.items())
    with torch.no_grad():
        last = list(model.masker.blocks[1].parameters())[-1]
        last.add_(0.05)
    changed = golden_outputs(model)
    gap = {key: np.abs(changed[key] - stored[key]).max() for key in stored}
    assert gap["1/1"] == 0 and gap["2/1,1"] > 1e-4 and gap["2/1,2"] > 1e-4


def test_golden_outputs_of_the_largest_models_stay_small(tmp_path):
    keys = [f"{k}/{','.join([str(n)] * k)}" for k in range(1, 5) for n in range(1, 5)]
    noise = np.random.default_rng(0).normal(size=(3, 391)).astype(np.float32)
    write_golden(tmp_path / "g.npz", {key: noise + i for i, key in enumerate(keys)})
    assert (tmp_path / "g.npz").stat().st_size < 100_000


# ---- examples ----------------------------------------------------------------------------------


def test_examples_are_chosen_by_rule(tmp_path):
    gains = np.random.default_rng(0).permutation(101) / 10  # 0 to 10 dB
    rows = [
        {"item": f"/x/{i}.wav", "n_blocks": k, "si_sdr_imp": gain if k == 2 else -gain}
        for i, gain in enumerate(gains)
        for k in (1, 2)
    ]
    rows.append({"item": "/x/silent.wav", "n_blocks": 2, "si_sdr_imp": math.nan})
    pd.DataFrame(rows).to_csv(tmp_path / "all.csv", index=False)
    chosen = choose(tmp_path / "all.csv")
    found = {name: row["si_sdr_imp"] for name, row in chosen.items()}
    assert found == {"lower_quartile": 2.5, "median": 5.0, "upper_quartile": 7.5}
    with pytest.raises(LatrefError, match="evaluate first"):
        choose(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("corpus", "words"),
    [
        (None, "has no corpus.json"),
        ({"speech": CREDITS["speech"], "noise": [{**CREDITS["noise"][0], "license": ""}]}, "Hiss"),
    ],
)
def test_examples_need_licences(empty_shelf, experiment, tmp_path, corpus, words):
    test_dir = shutil.copytree(experiment[1], tmp_path / "tt")
    (test_dir / "corpus.json").unlink()
    if corpus:
        (test_dir / "corpus.json").write_text(json.dumps({"name": "T", "licenses": corpus}))
    with pytest.raises(LatrefError, match=words):
        bundling_examples.bundle_examples(test_dir, experiment[0])
    assert not empty_shelf.exists()


def test_commands_write_where_they_are_told(empty_shelf, experiment, tmp_path, capsys):
    exp_dir, test_dir = map(str, experiment)
    table = tmp_path / "bundled.inc"
    args = ["--exp_dir", exp_dir, "--name", "tiny-8k", "--command", COMMAND, "--limit", "Hums."]
    args += ["--golden_dir", str(tmp_path / "golden"), "--table", str(table)]
    assert bundling.main(args) == 0
    assert "| `latref/tiny-8k` | enh_single |" in table.read_text()
    assert "- Hums.\n" in (empty_shelf / "tiny-8k" / "README.md").read_text()
    assert bundling_examples.main(["--json_dir", test_dir, "--exp_dir", exp_dir]) == 0
    assert len(listing(empty_shelf / "examples")) == 3 * 5 + 1
    assert "3 mixtures" in capsys.readouterr().out
    assert bundling.main([*args[:2], "--name", "No!", *args[4:]]) == 2
    assert IterSudoRmRf.from_pretrained("latref/tiny-8k").task == "enh_single"
