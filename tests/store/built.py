"""A small results folder: shards cropped and packed from painted videos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signrep_core.store.pack import PackedFiles, StageFiles, pack_shard, write_index
from signrep_core.store.schemas import ACTIVITY, ANGLES, CROPS, KEYPOINTS, POSE, VIDEOS
from signrep_core.store.tables import TableWriter, write_table
from signrep_core.video.crop import CropResult
from tests.video.painted import crop_videos, pose_of, targets_of, videos_of, write_pictures, write_video

# video -> frames with a signer
PRESENT = {
    "one run": [True] * 40,
    "two runs": [True] * 21 + [False] * 9 + [True] * 30,
    "nobody": [False] * 40,
    "too brief": [True] * 15 + [False] * 25,
}


@dataclass(frozen=True)
class Built:
    """Paths of a shard's files, and the result of cropping."""

    folder: Path
    crop: CropResult

    def files(self, shard: str = "00000") -> tuple[StageFiles, PackedFiles]:
        """Arguments of pack_shard."""
        paths = self.paths(shard)
        stages = {name: paths[name] for name in ("videos", "crops", "angles", "keypoints", "activity")}
        packed = PackedFiles(paths["out_mp4"], paths["out_frames"], paths["out_sequences"])
        return StageFiles(mp4=paths["crops_mp4"], **stages), packed

    def paths(self, shard: str = "00000") -> dict[str, Path]:
        """Files of a shard by what they hold."""
        stages = ("crops", "angles", "keypoints", "activity")
        out = self.folder / "shards"
        return {name: self.folder / name / f"{shard}.parquet" for name in stages} | {
            "videos": self.folder / "videos" / f"{shard}.parquet",
            "crops_mp4": self.folder / "crops" / f"{shard}.mp4",
            "out_mp4": out / f"{shard}.mp4",
            "out_frames": out / f"{shard}.parquet",
            "out_sequences": self.folder / "sequences" / f"{shard}.parquet",
        }


def build_shard(
    folder: Path,
    present: dict[str, list[bool]],
    shard: str = "00000",
    images: bool = False,
    split: str = "train",
) -> Built:
    """Videos (or image folders of 50 frames a second), poses and targets → crops."""
    sources = folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    videos = {
        name: write_pictures(sources / f"{shard} {name}", 2 * len(shown))
        if images
        else write_video(sources / f"{shard} {name}.mp4", range(len(shown)))
        for name, shown in present.items()
    }
    table: dict[str, Any] = videos_of(videos)
    table["fps"] *= 2 if images else 1
    table["split"] = [split] * len(present)
    with TableWriter(folder / "pose" / f"{shard}.parquet", POSE) as writer:
        for name, shown in present.items():
            writer.write(pose_of(name, shown))
    for schema in (ANGLES, KEYPOINTS, ACTIVITY):
        with TableWriter(folder / schema.name / f"{shard}.parquet", schema) as writer:
            for name, shown in present.items():
                writer.write(targets_of(name, len(shown))[schema.name])
    built = Built(
        folder,
        crop_videos(table, folder / "pose" / f"{shard}.parquet", folder / "crops" / f"{shard}.mp4"),
    )
    table["status"] = ["rejected" if name in built.crop.rejected else "ok" for name in videos]
    write_table(folder / "videos" / f"{shard}.parquet", VIDEOS, table)
    write_table(folder / "crops" / f"{shard}.parquet", CROPS, built.crop.crops)
    return built


def build_results(folder: Path) -> Built:
    """Shard 00000 with three sequences, and shard 00001 without a signer; packed and indexed."""
    built = build_shard(folder, PRESENT)
    empty = build_shard(folder, {"empty room": [False] * 20}, "00001")
    pack_shard("00000", *built.files())
    pack_shard("00001", *empty.files("00001"))
    shards = [built.paths(shard) for shard in ("00000", "00001")]
    write_index(
        [paths["out_sequences"] for paths in shards], [paths["out_mp4"] for paths in shards],
        folder / "shards" / "index.parquet", folder / "shards" / "info.json",
    )  # fmt: skip
    return built
