"""A corpus and a configuration so small that training on them takes a second."""

import json

import numpy as np
import yaml

from asteroid_latref.audio import write_audio
from asteroid_latref.engine.conf import load_conf

RATE = 8000
SPLITS = {"tr": 10, "cv": 2, "tt": 3}
CONF = {
    "data": {"task": "enh_single", "sample_rate": RATE, "segment": 0.25},
    "model": {
        "name": "IterSudoRmRf",
        "n_blocks": 2,
        "n_sub_blocks": 1,
        "n_iters": 1,
        "exits": "all",
        "bn_chan": 8,
        "hid_chan": 8,
        "upsampling_depth": 2,
        "n_filters": 16,
    },
    "optim": {
        "optimizer": "adam",
        "lr": 0.01,
        "weight_decay": 0.0,
        "lr_divisor": 3.0,
        "lr_every": 2,
    },
    "training": {
        "epochs": 3,
        "batch_size": 4,
        "num_workers": 0,
        "seed": 0,
        "remix": True,
        "gradient_clip": 5.0,
        "accelerator": "cpu",
    },
}


def make_corpus(folder):
    """Mixtures of two tones and noise in WHAM!'s layout, with their manifests: returns those."""
    rng = np.random.default_rng(0)
    for split, count in SPLITS.items():
        lists = {}
        for index in range(count):
            sources = _sources(rng)
            sources["mix_clean"] = sources["s1"] + sources["s2"]
            sources["mix_single"] = sources["s1"] + sources["noise"]
            sources["mix_both"] = sources["mix_clean"] + sources["noise"]
            for name, wav in sources.items():
                path = folder / "wav" / split / name / f"{index}.wav"
                write_audio(path, wav.astype(np.float32), RATE, subtype="FLOAT")
                lists.setdefault(name, []).append([str(path), len(wav)])
        (folder / "json" / split).mkdir(parents=True)
        for name, entries in lists.items():
            (folder / "json" / split / f"{name}.json").write_text(json.dumps(entries))
    return folder / "json"


def write_conf(path, **changes):
    """``CONF`` as a file; ``section_key=value`` is not needed, ``section={key: value}`` is."""
    conf = {section: {**values, **changes.get(section, {})} for section, values in CONF.items()}
    path.write_text(yaml.safe_dump(conf))
    return path


def make_conf(folder, json_dir, *overrides):
    """The checked configuration on the manifests in ``json_dir``."""
    path = write_conf(folder / "conf.yml")
    dirs = ["--train_dir", str(json_dir / "tr"), "--valid_dir", str(json_dir / "cv")]
    return load_conf(path, [*dirs, *overrides])


def _sources(rng):
    time = np.arange(int(rng.integers(1600, 4000))) / RATE
    tone = {"s1": (100, 300, 0.2), "s2": (400, 900, 0.15)}
    wavs = {
        name: level * np.sin(2 * np.pi * rng.uniform(low, high) * time)
        for name, (low, high, level) in tone.items()
    }
    wavs["noise"] = 0.05 * rng.standard_normal(len(time))
    return wavs
