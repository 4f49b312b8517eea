"""The WHAM! data set: slots, crops, padding, and what it says about bad data."""

import json
import os

import numpy as np
import pytest
import torch
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader

from asteroid_latref.audio import read_audio, write_audio
from asteroid_latref.data import TASKS, WhamDataset
from asteroid_latref.data.layout import FOLDERS, SPLITS
from asteroid_latref.data.licenses import LICENSE_KEYS
from asteroid_latref.data.manifests import write_manifests
from asteroid_latref.errors import LatrefError

RATE = 8000
LENGTHS = (12000, 5000, 8000, 20000)


@pytest.fixture
def wav_dir(tmp_path):
    rng = np.random.default_rng(0)
    for split in SPLITS:
        for i, length in enumerate(LENGTHS):
            s1, s2, noise = rng.integers(-9000, 9000, (3, length)).astype(np.int16)
            wavs = {"s1": s1, "s2": s2, "noise": noise}
            wavs |= {"mix_clean": s1 + s2, "mix_single": s1 + noise, "mix_both": s1 + s2 + noise}
            for folder, wav in wavs.items():
                write_audio(tmp_path / "wav" / split / folder / f"{i}.wav", wav, RATE)
    return tmp_path / "wav"


@pytest.fixture
def json_dir(wav_dir, tmp_path):
    write_manifests(wav_dir, tmp_path / "json", RATE, progress=False)
    return tmp_path / "json" / "tr"


def fails(match, *args, index=None, **options):
    with pytest.raises(LatrefError, match=match) as caught:
        dataset = WhamDataset(*args, **options)
        if index is not None:
            dataset[index]
    assert "\n" not in str(caught.value)


def test_manifests_are_asteroids(json_dir, wav_dir):
    entries = json.loads((json_dir / "mix_both.json").read_text())
    assert [length for _, length in entries] == list(LENGTHS)
    assert all(os.path.isabs(path) for path, _ in entries)
    assert {p.stem for p in json_dir.glob("*.json")} == set(FOLDERS)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("segment", [1.0, None])
def test_slots_add_up_to_the_mixture(json_dir, task, segment):
    dataset = WhamDataset(json_dir, task, RATE, segment)
    assert len(dataset) == len(LENGTHS)
    assert dataset.n_src == len(TASKS[task].slots)
    for i, length in enumerate(LENGTHS):
        mixture, targets = dataset[i]
        assert mixture.dtype == targets.dtype == torch.float32
        assert mixture.shape == (8000 if segment else length,)
        assert targets.shape == (dataset.n_src, *mixture.shape)
        assert torch.equal(mixture, targets.sum(0))


def test_noise_is_the_last_slot(json_dir):
    for task, shape in TASKS.items():
        assert ("noise" in shape.slots[:-1]) is False
        assert shape.n_speech == len([slot for slot in shape.slots if slot != "noise"])
        dataset = WhamDataset(json_dir, task, RATE, None)
        assert dataset.n_speech == shape.n_speech
        for slot, target in zip(shape.slots, dataset[1][1], strict=True):
            wav, _ = read_audio(dataset.path(1).parents[1] / slot / "1.wav")
            assert torch.equal(target, torch.from_numpy(wav[:, 0]))


def test_short_items_are_padded_at_their_end(json_dir):
    mixture, targets = WhamDataset(json_dir, "sep_noisy", RATE, 1.0)[1]
    whole, _ = WhamDataset(json_dir, "sep_noisy", RATE, None)[1]
    assert torch.equal(mixture[:5000], whole)
    assert not mixture[5000:].any() and not targets[:, 5000:].any()


def test_crops_depend_on_seed_epoch_and_index_only(json_dir):
    def crops(seed, epoch, order=range(4)):
        dataset = WhamDataset(json_dir, "enh_single", RATE, 0.5, seed)
        dataset.set_epoch(epoch)
        return {i: dataset.crop(i) for i in order}

    assert crops(0, 0) == crops(0, 0, (3, 1, 2, 0))
    assert crops(0, 0) != crops(0, 1) != crops(1, 0)
    for epoch in range(50):
        for i, (start, stop) in crops(0, epoch).items():
            assert start >= 0 and stop - start == 4000 and stop <= LENGTHS[i]


def test_crop_is_that_part_of_the_file_for_every_slot(json_dir):
    dataset = WhamDataset(json_dir, "sep_noisy", RATE, 0.5)
    whole = WhamDataset(json_dir, "sep_noisy", RATE, None)
    start, stop = dataset.crop(3)
    assert torch.equal(dataset[3][0], whole[3][0][start:stop])
    assert torch.equal(dataset[3][1], whole[3][1][:, start:stop])


def test_every_start_is_drawn(tmp_path, wav_dir, json_dir):
    dataset = WhamDataset(json_dir, "enh_single", RATE, (5000 - 2) / RATE)
    starts = set()
    for epoch in range(60):
        dataset.set_epoch(epoch)
        starts.add(dataset.crop(1)[0])
    assert starts == {0, 1, 2}


def test_running_workers_see_the_new_epoch(json_dir):
    dataset = WhamDataset(json_dir, "enh_single", RATE, 0.5)
    loader = DataLoader(dataset, num_workers=1, persistent_workers=True)
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        loaded = [mixture[0] for mixture, _ in loader]
        assert all(torch.equal(loaded[i], dataset[i][0]) for i in range(len(dataset)))


def test_aliases_of_asteroid(json_dir):
    assert WhamDataset(json_dir, "enhance_both").task == "enh_both"
    assert WhamDataset(json_dir, "enhance_single").slots == ("s1", "noise")


def test_infos_are_what_the_publisher_reads(json_dir):
    for task in TASKS:
        infos = WhamDataset(json_dir, task).get_infos()
        assert infos["dataset"] == "WHAM" and infos["task"] == task
        assert len(infos["licenses"]) == (1 if task == "sep_clean" else 2)
        for credit in infos["licenses"]:
            assert tuple(credit) == LICENSE_KEYS


def test_unknown_task_and_segment(json_dir):
    fails("unknown task 'denoise'.*enh_single", json_dir, "denoise")
    fails("segment must be", json_dir, "enh_single", segment=0)


def test_missing_folder_manifest_and_content(json_dir, tmp_path):
    fails("nowhere: no such folder.*stage 2", tmp_path / "nowhere", "enh_single")
    (json_dir / "s2.json").unlink()
    fails("s2.json: no such manifest", json_dir, "sep_clean")
    (json_dir / "s1.json").write_text("[]")
    fails("s1.json: lists no files", json_dir, "enh_single")
    (json_dir / "s1.json").write_text('{"a": [1')
    fails("s1.json: not a list", json_dir, "enh_single")
    (json_dir / "s1.json").write_text('[["a.wav"]]')
    fails("s1.json: not a list", json_dir, "enh_single")


def test_lists_of_different_lengths(json_dir):
    entries = json.loads((json_dir / "s1.json").read_text())
    (json_dir / "s1.json").write_text(json.dumps(entries[1:]))
    fails("s1.json: lists 3 files, mix_single.json lists 4", json_dir, "enh_single")


def test_listed_file_gone(json_dir, wav_dir):
    (wav_dir / "tr" / "noise" / "2.wav").unlink()
    fails("noise/2.wav: listed in .* but gone", json_dir, "enh_single")
    WhamDataset(json_dir, "sep_clean")


def test_corrupt_and_empty_wav(json_dir, wav_dir):
    path = wav_dir / "tr" / "s1" / "1.wav"
    path.write_bytes(b"RIFF" + bytes(100))
    fails("s1/1.wav: not a readable sound file", json_dir, "enh_single", index=1)
    path.write_bytes(b"")
    fails("s1/1.wav: empty file", json_dir, "enh_single", index=1)
    write_audio(path, np.zeros(0), RATE)
    fails("s1/1.wav: holds no samples", json_dir, "enh_single", index=1)


def test_wrong_rate(json_dir, wav_dir):
    fails("sampled at 8000 Hz, 16000 Hz is needed", json_dir, "enh_single", 16000)
    write_audio(wav_dir / "tr" / "s1" / "2.wav", np.zeros(8000), 16000)
    fails("s1/2.wav: sampled at 16000 Hz", json_dir, "enh_single", index=2)


def test_source_and_mixture_of_different_lengths(json_dir, wav_dir):
    write_audio(wav_dir / "tr" / "s1" / "2.wav", np.zeros(7999), RATE)
    fails("s1/2.wav: has 7999 samples, 8000 were expected", json_dir, "enh_single", index=2)
    entries = json.loads((json_dir / "s1.json").read_text())
    entries[2][1] = 7999
    (json_dir / "s1.json").write_text(json.dumps(entries))
    fails("s1/2.wav: has 7999 samples, its mixture .* has 8000", json_dir, "enh_single")


def test_samples_that_are_no_numbers_and_channels(json_dir, wav_dir):
    path = wav_dir / "tr" / "s1" / "2.wav"
    write_audio(path, np.full(8000, np.nan), RATE, subtype="FLOAT")
    fails("s1/2.wav: holds NaN", json_dir, "enh_single", index=2)
    write_audio(path, np.zeros((8000, 2)), RATE)
    fails("s1/2.wav: has 2 channels", json_dir, "enh_single", index=2)


def test_error_in_a_worker_stays_one_line(json_dir, wav_dir):
    dataset = WhamDataset(json_dir, "enh_single", RATE, 0.5)
    (wav_dir / "tr" / "noise" / "2.wav").unlink()
    try:
        dataset[2]
    except LatrefError:
        # What a worker sends to the main process, with the traceback.
        sent = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(LatrefError, match=r"noise/2\.wav: no such file$") as caught:
        sent.reraise()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda d: [p.unlink() for p in (d / "cv" / "s2").iterdir()], "s2: holds no wav files"),
        (lambda d: (d / "cv" / "s2" / "1.wav").unlink(), "1.wav is in only one of mix_both and s2"),
        (lambda d: write_audio(d / "tt/s2/1.wav", np.zeros(10), RATE), "s2/1.wav: has 10 samples"),
        (lambda d: write_audio(d / "tt/s2/1.wav", np.zeros(5000), 9000), "sampled at 9000 Hz"),
        (lambda d: (d / "tt/s2/1.wav").write_bytes(b""), "1.wav: empty file"),
        (lambda d: (d / "tt").rename(d / "test"), "tt/mix_clean: no such folder"),
    ],
)
def test_manifests_of_bad_mixtures(wav_dir, tmp_path, spoil, match):
    spoil(wav_dir)
    with pytest.raises(LatrefError, match=match):
        write_manifests(wav_dir, tmp_path / "json", RATE, progress=False)
