from pathlib import Path

import pytest
import yaml

from asteroid_latref.engine.conf import build_model, load_conf
from asteroid_latref.errors import LatrefError

from ..tiny import CONF, write_conf

SHIPPED = sorted(Path(__file__).parents[2].glob("egs/*/local/conf/*.yml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_configuration_builds_its_model(path):
    conf = load_conf(path)
    model = build_model(conf)
    given = {key: value for key, value in conf.model.items() if key != "name"}
    assert given.items() <= model.get_model_args().items()


def test_the_task_decides_the_number_of_outputs(tmp_path):
    path = write_conf(tmp_path / "c.yml")
    for task, n_src in {"enh_single": 2, "enh_both": 2, "sep_clean": 2, "sep_noisy": 3}.items():
        conf = load_conf(path, ["--task", task])
        assert conf.model["n_src"] == build_model(conf).n_src == n_src
    assert load_conf(path, ["--n_src", "1"]).model["n_src"] == 1


def test_overrides_replace_keys_and_keep_their_types(tmp_path):
    path = write_conf(tmp_path / "c.yml")
    text = "--lr 1e-4 --n_iters [1,2] --model.bn_chan=4 --remix false --devices 2".split()
    conf = load_conf(path, text)
    assert (conf.optim.lr, conf.model["n_iters"], conf.model["bn_chan"]) == (1e-4, [1, 2], 4)
    assert conf.training.remix is False and conf.training.devices == 2
    rate = load_conf(path, ["--sample_rate", "16000"])
    assert rate.data.sample_rate == rate.model["sample_rate"] == 16000


def test_the_plain_form_reads_back_as_the_same_configuration(tmp_path):
    conf = load_conf(write_conf(tmp_path / "c.yml"))
    (tmp_path / "again.yml").write_text(yaml.safe_dump(conf.as_dict()))
    assert load_conf(tmp_path / "again.yml").as_dict() == conf.as_dict()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optim": {"learning_rate": 1}}, ["section optim", "'learning_rate'"]),
        ({"model": {"n_block": 1}}, ["section model", "'n_block'", "'n_blocks'"]),
        ({"model": {"name": "IterSudoRmrf"}}, ["section model", "'IterSudoRmRf'"]),
        ({"model": {"exits": "some"}}, ["section model", "some"]),
        ({"data": {"task": "enh_singel"}}, ["data.task", "enh_singel", "enh_single"]),
        ({"training": {"epochs": "many"}}, ["training.epochs", "'many'", "int"]),
        ({"training": {"remix": 1}}, ["training.remix", "bool"]),
        ({"training": {"epochs": True}}, ["training.epochs", "int"]),
    ],
    ids=str,
)
def test_mistakes_are_named_with_file_section_and_key(tmp_path, change, words):
    path = write_conf(tmp_path / "c.yml", **change)
    with pytest.raises(LatrefError) as error:
        build_model(load_conf(path))
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in [str(path), *words]), message


def test_missing_and_unknown_sections_options_and_files(tmp_path):
    path = write_conf(tmp_path / "c.yml")
    with pytest.raises(LatrefError, match="--batchsize; did you mean 'batch_size'"):
        load_conf(path, ["--batchsize", "3"])
    with pytest.raises(LatrefError, match="--lr needs a value"):
        load_conf(path, ["--lr"])
    with pytest.raises(LatrefError, match="gone.yml: cannot be read"):
        load_conf(tmp_path / "gone.yml")
    for text, match in {
        "a: [": "is not YAML",
        "3": "must hold sections",
        yaml.safe_dump({**CONF, "optimm": {}}): "unknown section 'optimm'; did you mean 'optim'",
        yaml.safe_dump({k: v for k, v in CONF.items() if k != "optim"}): "'optim' is missing",
        yaml.safe_dump({**CONF, "data": {"task": "enh_both"}}): "'sample_rate' is missing",
    }.items():
        path.write_text(text)
        with pytest.raises(LatrefError, match=match):
            load_conf(path)
