"""Every data set as published, with real frames: the command writes a sheet whose videos can be probed."""

import csv
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from signrep_core.__main__ import main
from signrep_core.sources.sheet import read_sheet
from signrep_core.video.probe import probe_shard
from tests.sources.files import write
from tests.video.painted import paint, write_video

N = 20  # frames, enough for a window


def video(path: Path, n: int = N) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, range(n))


def frames(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    for k in range(N):
        Image.fromarray(paint(k, 48, 64)).save(folder / name.format(k + 1))


def youtube_sl_25(root: Path) -> list[str | Path]:
    table = write(root / "youtube-sl-25-metadata.csv", "dQw4w9WgXcQ,ase\nBdj5MUf_3Hc,icl\n")
    video(root / "videos" / "A title [dQw4w9WgXcQ].mp4")
    return ["youtube-sl-25", table, "--videos", root / "videos"]


def wlasl(root: Path) -> list[str | Path]:
    instance = {
        "bbox": [1, 2, 40, 50], "fps": 25, "frame_end": -1, "frame_start": 1, "instance_id": 0, "signer_id": 9,
        "source": "x", "split": "train", "url": "https://www.youtube.com/watch?v=dQw4w9WgXcQ", "variation_id": 0,
    }  # fmt: skip
    uncut = {"video_id": "00002", "frame_start": 26, "frame_end": 45, "split": "test"}
    gone = {"video_id": "00003", "url": "http://www.aslpro.com/main/d/drink.swf"}
    entries = [
        {"gloss": "book", "instances": [instance | {"video_id": "00001"}, instance | uncut]},
        {"gloss": "drink", "instances": [instance | gone]},
    ]
    table = write(root / "WLASL_v0.3.json", json.dumps(entries))
    video(root / "videos" / "00001.mp4")
    video(root / "videos" / "dQw4w9WgXcQ.mp4", 60)
    return ["wlasl", table, "--videos", root / "videos", "--subset", "100"]


def asl_citizen(root: Path) -> list[str | Path]:
    for split, name in (("train", "1-DOG.mp4"), ("val", "2-DOG.mp4"), ("test", "3-DOG.mp4")):
        write(root / "splits" / f"{split}.csv",
              f"Participant ID,Video file,Gloss,ASL-LEX Code\nP1,{name},DOG,B_01\n")  # fmt: skip
    video(root / "videos" / "1-DOG.mp4")
    video(root / "videos" / "3-DOG.mp4")
    return ["asl-citizen", root]


def nmfs_csl(root: Path) -> list[str | Path]:
    write(root / "uni_trainlist01.csv", "0001/P01_01,0\n")
    write(root / "uni_testlist01.csv", "0001/P09_01,0\n0002/P09_02,1\n")
    frames(root / "jpg_video" / "0001" / "P01_01", "image_{:05d}.jpg")
    frames(root / "jpg_video" / "0001" / "P09_01", "image_{:05d}.jpg")
    return ["nmfs-csl", root]


def phoenix14t(root: Path) -> list[str | Path]:
    header = "name|video|start|end|speaker|orth|translation\n"
    for split in ("train", "dev", "test"):
        table = root / "annotations" / "manual" / f"PHOENIX-2014-T.{split}.corpus.csv"
        write(table, f"{header}{split}-1|{split}-1/1/*.png|-1|-1|Signer08|REGEN|regen\n")
    frames(root / "features" / "fullFrame-210x260px" / "train" / "train-1", "images{:04d}.png")
    frames(root / "features" / "fullFrame-210x260px" / "dev" / "dev-1", "images{:04d}.png")
    return ["phoenix14t", root]


def csl_daily(root: Path) -> list[str | Path]:
    names = ("S1_P0000_T00", "S2_P0004_T00", "S3_P0004_T00")
    info = [{"name": name, "length": N, "label_gloss": ["他"], "label_char": ["他", "。"], "label_word": ["他", "。"],
             "label_postag": ["r", "w"], "signer": k, "time": 0} for k, name in enumerate(names)]  # fmt: skip
    splits = "".join(f"{name}|{split}\n" for name, split in zip(names, ("train", "dev", "test"), strict=True))
    labels = write(root / "sentence_label" / "split_1.txt", f"name|split\n{splits}")
    (labels.parent / "csl2020ct_v2.pkl").write_bytes(pickle.dumps({"info": info, "gloss_map": ["他"]}))
    frames(root / "sentence" / "frames_512x512" / names[0], "{:06d}.jpg")
    frames(root / "sentence" / "frames_512x512" / names[2], "{:06d}.jpg")
    return ["csl-daily", root]


def how2sign(root: Path) -> list[str | Path]:
    header = "VIDEO_ID\tVIDEO_NAME\tSENTENCE_ID\tSENTENCE_NAME\tSTART_REALIGNED\tEND_REALIGNED\tSENTENCE\n"
    for split, name in (("train", "-d5-1-rgb_front"), ("val", "e-1-rgb_front"), ("test", "f-1-rgb_front")):
        write(root / f"how2sign_realigned_{split}.csv", f"{header}v\t{name}\tv_0\t{name[:1]}_0\t0.4\t1.6\tHello.\n")
    video(root / "raw" / "-d5-1-rgb_front.mp4", 60)
    video(root / "raw" / "f-1-rgb_front.mp4", 60)
    return ["how2sign", root, "--videos", root / "raw"]


def glosses(root: Path) -> list[str | Path]:
    video(root / "train" / "DOG" / "a.mp4")
    video(root / "test" / "DOG" / "b.mp4")
    return ["glosses", root]


@pytest.mark.parametrize(
    ("publish", "said", "frames_of", "n_missing"),
    [
        (youtube_sl_25, "1 videos (train 1 of 2)", [20], 1),
        (wlasl, "2 videos (train 1 of 2, test 1 of 1)", [20, 20], 1),
        (asl_citizen, "2 videos (train 1 of 1, test 1 of 1, val 0 of 1)", [20, 20], 1),
        (nmfs_csl, "2 videos (train 1 of 1, test 1 of 2)", [17, 17], 1),  # 20 frames at 30 are 17 at 25
        (phoenix14t, "2 videos (train 1 of 1, val 1 of 1, test 0 of 1)", [20, 20], 1),
        (csl_daily, "2 videos (train 1 of 1, test 1 of 1, val 0 of 1)", [17, 17], 1),
        (how2sign, "2 videos (train 1 of 1, test 1 of 1, val 0 of 1)", [30, 30], 1),
        (glosses, "2 videos (test 1 of 1, train 1 of 1)", [20, 20], 0),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_existing_videos_can_be_probed_and_missing_ones_are_listed(
    publish: Callable[[Path], Sequence[str | Path]], said: str, frames_of: list[int], n_missing: int, tmp_path, capsys
):
    sheet = tmp_path / "videos.tsv"
    assert main(["sheet", *map(str, publish(tmp_path / "published")), "--out", str(sheet)]) == 0
    assert said in capsys.readouterr().out
    videos = probe_shard(read_sheet(sheet), threads=1)
    assert videos["status"] == ["ok"] * len(frames_of), videos["detail"]
    assert [round(seconds * 25) for seconds in videos["duration_s"]] == frames_of
    missing = sheet.with_suffix(".missing.tsv")
    text = missing.read_text(encoding="utf-8") if missing.exists() else ""
    lines = list(csv.reader(text.splitlines(), delimiter="\t"))[1:]
    assert len(lines) == n_missing
