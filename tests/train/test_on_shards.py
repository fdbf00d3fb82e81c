"""Packed shards to weights, features and the figure, with the real reader."""

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from signrep_core.config import Pretrain
from signrep_core.evaluate.features import Inference, extract_features
from signrep_core.evaluate.retrieval import evaluate_retrieval, read_features
from signrep_core.inspect.figures.strips import retrieval_strips
from signrep_core.model.signrep import PRESETS
from signrep_core.store.pack import pack_shard, write_index
from signrep_core.store.shards import ShardReader
from signrep_core.train import pretrain as module
from signrep_core.train.checkpoint import load_state
from signrep_core.train.launch import Devices
from signrep_core.train.loop import RunSetup, TrainResult
from signrep_core.train.pretrain import pretrain
from tests.store.built import build_shard
from tests.train.test_pretrain import assert_same_run

PRESENT = {
    "one": [True] * 24,
    "two": [True] * 20 + [False] * 14 + [True] * 21,
    "three": [True] * 30,
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = build_shard(tmp_path_factory.mktemp("shards"), PRESENT)
    paths = built.paths()
    pack_shard("00000", *built.files())
    folder = built.folder / "shards"
    write_index([paths["out_sequences"]], [paths["out_mp4"]], folder / "index.parquet", folder / "info.json")
    return folder


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainResult]:
    encoder = dataclasses.replace(PRESETS["tiny"].encoder, image_size=32, embed_dim=8, stages=(1, 1, 1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module, "PRESETS", MappingProxyType({"tiny": dataclasses.replace(PRESETS["tiny"], encoder=encoder)})
        )
        splits = sorted(set(ShardReader(shards).index["split"]))
        settings = Pretrain(
            initial_weights="scratch",
            preset="tiny",
            splits=splits,
            mask_ratio=0.5,
            iterations=3,
            batch_size=4,
            warmup=1,
            log_every=1,
        )
        yield pretrain(shards, settings, RunSetup(tmp_path_factory.mktemp("run"), devices=Devices("cpu")))


@pytest.fixture(scope="module")
def features(shards: Path, trained: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("features") / "features.parquet"
    assert extract_features(trained.weights, shards, out, inference=Inference("cpu", workers=1)) == 3
    return out


def test_training_on_packed_shards_finishes(trained: TrainResult) -> None:
    assert trained.finished
    assert trained.weights.exists()


def test_features_have_the_frames_of_the_timeline(features: Path) -> None:
    starts = {video.video_id: video.start_frame.tolist() for video in read_features(features)}
    assert starts == {"one": [0, 2, 4, 6, 8], "two": [0, 2, 4, 34, 36, 38], "three": list(range(0, 15, 2))}


def test_unlabelled_clips_have_no_metrics_but_a_figure(features: Path, shards: Path, tmp_path: Path) -> None:
    index = dict(ShardReader(shards).index) | {"gloss": [""] * 4}
    assert evaluate_retrieval(read_features(features), index)["metrics"] is None
    groups = retrieval_strips(features, shards, tmp_path / "strips.png", n_references=2)
    assert [len(group) for group in groups] == [3, 3]  # there are two other videos
    assert np.asarray(Image.open(tmp_path / "strips.png")).std() > 10


@pytest.mark.slow
def test_a_run_killed_at_the_command_line_ends_with_the_weights_of_a_whole_one(shards: Path, tmp_path: Path) -> None:
    splits = sorted(set(ShardReader(shards).index["split"]))
    (tmp_path / "config.yaml").write_text(
        f"pretrain: {{splits: {splits}, initial_weights: scratch, preset: tiny, mask_ratio: 0, iterations: 10, "
        "initialise_from_data: true, batch_size: 4, warmup: 2, save_every: 2, validate_every: 5}\n"
    )

    def start(out: str) -> subprocess.Popen[bytes]:
        command = ["pretrain", "--shards", shards, "--out", tmp_path / out, "--configfile", tmp_path / "config.yaml"]
        return subprocess.Popen([sys.executable, "-m", "signrep_core", *map(str, command)], stderr=subprocess.DEVNULL)

    assert start("whole").wait() == 0
    killed, state = start("killed"), tmp_path / "killed/last/state.pt"
    while not state.exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert 0 < load_state(state)["step"] < 10
    assert not (tmp_path / "killed/best.safetensors").exists()
    assert start("killed").wait() == 0

    whole, resumed = (tmp_path / name for name in ("whole", "killed"))
    assert_same_run(whole, resumed)
