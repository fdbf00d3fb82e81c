"""The paper's run on a small sheet: spans of the fixture clips as rows of its seven data sets."""

import csv
import json
from pathlib import Path
from typing import Any

import yaml

from signrep_core.config import SCRATCH
from tests.model.language_models import write_xglm

CLIPS = {"asl_milk_B": 1.6, "asl_walk_C": 2.9, "asl_yes_A": 2.1}  # seconds
TEXTS = {  # of the training, validation and test split; the language models know these characters
    "phoenix14t": ("am montag regen", "am abend regen", "montag regen"),
    "csl_daily": ("我们喝牛奶", "我们走路", "我喝牛奶"),
    "how2sign": ("we drink milk", "we walk home", "we drink"),
}
OVERLAP = "yutdbLgUJfo"  # the YouTube id of one row, which WLASL has too


def write_inputs(folder: Path, clips: Path) -> Path:
    """Write sheet, list of WLASL, language model and the settings that depart from the paper's; the settings' path."""
    _write_sheet(folder / "all.tsv", clips)
    instance = {"video_id": "00001", "url": f"https://www.youtube.com/watch?v={OVERLAP}", "split": "train",
                "signer_id": 0, "instance_id": 0, "source": "x", "variation_id": 0, "frame_start": 1,
                "frame_end": -1, "fps": 25, "bbox": [0, 0, 1, 1]}  # fmt: skip
    (folder / "WLASL_v0.3.json").write_text(json.dumps([{"gloss": "milk", "instances": [instance]}]))
    base = write_xglm(folder / "xglm", tuple(text for texts in TEXTS.values() for text in texts), positions=512)
    small: dict[str, Any] = {
        "sheet": str(folder / "all.tsv"),
        "results": str(folder / "results"),
        "deduplicate": {"wlasl": str(folder / "WLASL_v0.3.json")},
        "pretrain": {"initial_weights": SCRATCH, "preset": "tiny", "iterations": 2, "warmup": 1},
        "recognition": {"epochs": 2, "warmup": 1},
        "translation": {"preset": "tiny", "iterations": 2, "warmup": 1},
        "language_model": {"base": str(base), "epochs": 2, "warmup_epochs": 1},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(small))
    return folder / "small.yaml"


def _write_sheet(path: Path, clips: Path) -> None:
    rows = [_row("youtube_sl_25", f"{clip}-{half}", clip, half) for clip in CLIPS for half in (0, 1)]
    rows.append(_row("youtube_sl_25", OVERLAP, "asl_milk_B"))
    for name in ("wlasl", "asl_citizen", "nmfs_csl"):
        rows += [
            _row(name, f"{name}-{clip}-{split}", clip, half, split=split, gloss=clip.split("_")[1])
            for clip in ("asl_milk_B", "asl_walk_C")
            for half, split in ((0, "train"), (None, "val"), (1, "test"))
        ]
    for name, texts in TEXTS.items():
        rows += [
            _row(name, f"{name}-{split}", clip, split=split, gloss="A B", text=text)
            for (clip, split), text in zip(zip(CLIPS, ("train", "val", "test"), strict=True), texts, strict=True)
        ]
    for row in rows:
        row["path"] = str(clips / row["path"])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def _row(dataset: str, name: str, clip: str, half: int | None = None, **columns: str) -> dict[str, str]:
    """Describe one video: a half of the clip, or all of it."""
    span = {None: ("", ""), 0: ("0", str(CLIPS[clip] / 2)), 1: (str(CLIPS[clip] / 2), str(CLIPS[clip]))}[half]
    row = {"video_id": name, "path": f"{clip}.mkv", "dataset": dataset, "split": "train", "gloss": "", "text": "",
           "signer": clip[-1], "start": span[0], "end": span[1]}  # fmt: skip
    return {**row, **columns}
