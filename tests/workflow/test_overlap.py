"""Videos that WLASL holds too never reach a shard of the pretraining split, and stay in the audit."""

import json

import pandas as pd

from tests.workflow.bad_videos import ffmpeg
from tests.workflow.conftest import snakemake

SHEET = """video_id\tpath\tdataset\tsplit
dQw4w9WgXcQ\tdQw4w9WgXcQ.mp4\tyoutube_sl_25\ttrain
other\tother.mp4\tyoutube_sl_25\ttrain
held out [dQw4w9WgXcQ]\tdQw4w9WgXcQ.mp4\tyoutube_sl_25\ttest
"""


def test_an_overlap_is_excluded_from_pretraining_and_audited(tmp_path):
    for name in ("dQw4w9WgXcQ", "other"):
        ffmpeg("-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=25", tmp_path / f"{name}.mp4")
    (tmp_path / "videos.tsv").write_text(SHEET)
    instance = {
        "bbox": [0, 0, 1, 1], "fps": 25, "frame_end": -1, "frame_start": 1, "instance_id": 0, "signer_id": 1,
        "source": "aslu", "split": "test", "url": "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=3",
        "variation_id": 0, "video_id": "69241",
    }  # fmt: skip
    (tmp_path / "wlasl.json").write_text(json.dumps([{"gloss": "book", "instances": [instance]}]))
    results = tmp_path / "results"
    config = [f"sheet={tmp_path / 'videos.tsv'}", f"results={results}", f"deduplicate={{wlasl: {tmp_path}/wlasl.json}}"]
    done = snakemake(results / "overlap.tsv", "--config", *config)
    assert done.returncode == 0, done.stdout
    videos = pd.read_parquet(results / "video_status/deduplicate/00000.parquet").set_index("video_id")
    assert videos.status.to_dict() == {"dQw4w9WgXcQ": "excluded", "other": "ok", "held out [dQw4w9WgXcQ]": "ok"}
    assert videos.loc["dQw4w9WgXcQ", "reason"] == "overlap"
    audit = pd.read_csv(results / "overlap.tsv", sep="\t", dtype=str)
    assert list(audit.video_id) == ["dQw4w9WgXcQ", "held out [dQw4w9WgXcQ]"]
    assert set(audit.matched_id) == {"69241"}
