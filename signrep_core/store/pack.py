"""Pack a shard: a row for each frame with the place of its packet and its training targets; and write the index.

Checked here, and relied on elsewhere: rows of the pose-derived tables = frames cropped = packets of the MP4 =
rows of the frame table, in the same order, each sequence beginning with a keyframe and having one every GOP frames.
"""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np

from signrep_core.errors import ShardError
from signrep_core.store.files import atomic_path, write_json
from signrep_core.store.schemas import ACTIVITY, ANGLES, CROPS, FRAMES, KEYPOINTS, SEQUENCES, SHEET_COLUMNS, VIDEOS
from signrep_core.store.shards import GOP, ROWS_PER_GROUP, ShardInfo
from signrep_core.store.tables import Columns, TableWriter, read_groups, read_table, read_videos, write_table

log = logging.getLogger(__name__)

PATHS = {"mp4": "{shard}.mp4", "frames": "{shard}.parquet", "index": "index.parquet"}
TIME_TOLERANCE_S = 1e-6  # between a frame and its pose
REDO = "rerun the stage crop_signers for this shard, and then pack_shards"


@dataclass(frozen=True)
class StageFiles:
    """The files of a shard that are packed."""

    videos: str | Path  # the final table of videos
    crops: str | Path
    mp4: str | Path  # of the crops
    angles: str | Path
    keypoints: str | Path
    activity: str | Path


@dataclass(frozen=True)
class PackedFiles:
    """The files of a packed shard."""

    mp4: str | Path  # a hard link to the crops' MP4 where the disk can, else a copy
    frames: str | Path  # table FRAMES
    sequences: str | Path  # table SEQUENCES


def pack_shard(
    shard: str,
    files: StageFiles,
    packed: PackedFiles,
    target_fps: float | None = 25.0,
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Join a shard's MP4 with its tables; one video in memory at a time.

    Args:
        target_fps: of the common timeline; None takes each video's own mean rate.

    Raises:
        ShardError: tables and MP4 disagree; says which and where.
    """
    cuts = read_table(files.crops, CROPS)
    packets = read_packets(files.mp4)
    n_frames = int(cuts["n_frames"].sum())
    if n_frames != len(packets["size"]):
        raise ShardError(
            f"shard {shard}: {files.crops} has {n_frames} frames, {files.mp4} {len(packets['size'])}; {REDO}"
        )
    first_rows = np.cumsum(cuts["n_frames"], dtype=np.int64) - cuts["n_frames"]
    _check_keyframes(shard, cuts, first_rows, packets)
    tables = {"angles": read_videos(files.angles, ANGLES), "keypoints": read_videos(files.keypoints, KEYPOINTS),
              "activity": read_videos(files.activity, ACTIVITY)}  # fmt: skip
    with TableWriter(packed.frames, FRAMES, provenance, ROWS_PER_GROUP, uncompressed=True) as writer:
        for video, rows in _in_order(shard, cuts["video_id"], tables):
            _check_times(shard, video, rows["angles"], target_fps)
            writer.write(_frame_rows(shard, video, rows, cuts, first_rows, packets))
    write_table(
        packed.sequences, SEQUENCES, _sequence_rows(shard, files.videos, cuts, first_rows, target_fps), provenance
    )
    _link(Path(files.mp4), Path(packed.mp4))
    for path in (packed.frames, packed.sequences):
        os.utime(path)  # the link gave the crops' MP4 a new time, and tables older than it would be packed again
    log.info("packed shard %s: %d sequences, %d frames", shard, len(cuts["sequence"]), n_frames)


def write_index(
    sequences: Sequence[str | Path],
    mp4s: Sequence[str | Path],
    out_index: str | Path,
    out_info: str | Path,
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Join the shards' SEQUENCES tables to the index, and write info.json, which a reader needs to decode the MP4s.

    Raises:
        ShardError: an MP4 was encoded with other parameters than the first.
    """
    n_sequences = n_frames = 0
    with TableWriter(out_index, SEQUENCES, provenance) as writer:
        for path in sequences:
            for rows in read_groups(path, SEQUENCES):
                writer.write(rows)
                n_sequences += len(rows["shard"])
                n_frames += int(rows["n_frames"].sum())
    counts = {"shards": len(sequences), "sequences": n_sequences, "frames": n_frames}
    parameters = _common_parameters(mp4s)
    info = ShardInfo(**parameters, gop=GOP, counts=counts, paths=PATHS).to_json()
    write_json(out_info, {**info, "provenance": dict(provenance or {})})


# ---------------------------------------------------------------- the MP4


def read_packets(mp4: str | Path) -> Columns:
    """Read offset, size and keyframe flag of every packet from the container's index; a file of zero bytes has none."""
    found: list[tuple[Any, int, bool]] = []
    if os.path.getsize(mp4):
        with av.open(str(mp4)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    found.append((packet.pos, packet.size, packet.is_keyframe))
    offset, size, keyframe = zip(*found, strict=True) if found else ((), (), ())
    return {
        "offset": np.array(offset, np.int64),
        "size": np.array(size, np.int32),
        "keyframe": np.array(keyframe, bool),
    }


def _check_keyframes(shard: str, cuts: Columns, first_rows: Any, packets: Columns) -> None:
    expected = np.zeros(len(packets["keyframe"]), bool)
    for first, n in zip(first_rows, cuts["n_frames"], strict=True):
        expected[first : first + n : GOP] = True
    wrong = np.flatnonzero(expected != packets["keyframe"])
    if len(wrong):
        raise ShardError(
            f"shard {shard}: frame {wrong[0]} of the MP4 {'is no' if expected[wrong[0]] else 'is a'} keyframe, "
            f"expected one every {GOP} frames of each sequence; {REDO}"
        )


def read_parameters(mp4: str | Path) -> dict[str, Any]:
    """Read the encoder settings of an MP4 and the parameters that decoding it needs."""
    with av.open(str(mp4)) as container:
        codec = container.streams.video[0].codec_context
        return {
            "encoder": container.metadata.get("comment", ""), "codec": codec.name, "extradata": codec.extradata,
            "width": codec.width, "height": codec.height, "pix_fmt": codec.pix_fmt,
        }  # fmt: skip


def _common_parameters(mp4s: Sequence[str | Path]) -> dict[str, Any]:
    """Parameters for decoding, equal in all MP4s that hold frames; empty text and zeros if none holds frames."""
    common: dict[str, Any] = {}
    origin: str | Path = ""
    for mp4 in mp4s:
        if os.path.getsize(mp4) == 0:
            continue
        found = read_parameters(mp4)
        if common and found != common:
            different = ", ".join(name for name in found if found[name] != common[name])
            raise ShardError(
                f"{mp4}: its {different} differs from that of {origin}; encode all shards alike: "
                "snakemake --forcerun crop_signers"
            )
        common, origin = found, mp4
    return common or {"encoder": "", "codec": "", "extradata": b"", "width": 0, "height": 0, "pix_fmt": ""}


def _link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the disk has no links, with the present time: newer than its inputs."""
    with atomic_path(target) as partial:
        partial.unlink(missing_ok=True)
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
        os.utime(partial)


# ---------------------------------------------------------------- the rows


def _in_order(
    shard: str, wanted: Sequence[str], tables: Mapping[str, Iterator[tuple[str, Columns]]]
) -> Iterator[tuple[str, dict[str, Columns]]]:
    """(video, its columns by table) for each wanted video; the tables hold the same videos in the same order."""
    remaining = [video for video, _ in groupby(wanted)]
    for parts in zip_longest(*tables.values()):
        ids = [part[0] if part else None for part in parts]
        if len(set(ids)) > 1:
            found = ", ".join(f"{name} {video!r}" for name, video in zip(tables, ids, strict=True))
            raise ShardError(
                f"shard {shard}: the tables disagree on the next video: {found}; rerun angles_to_keypoints"
            )
        if remaining and ids[0] == remaining[0]:
            remaining.pop(0)
            yield ids[0], {name: part[1] for name, part in zip(tables, parts, strict=True)}
    if remaining:
        raise ShardError(f"shard {shard}: no angles of video {remaining[0]!r} at its place in the order; {REDO}")


def _frame_rows(
    shard: str, video: str, tables: dict[str, Columns], cuts: Columns, first_rows: Any, packets: Columns
) -> Columns:
    """FRAMES rows of one video's sequences."""
    own = [i for i, other in enumerate(cuts["video_id"]) if other == video]
    spans = [np.arange(cuts["start_frame"][i], cuts["start_frame"][i] + cuts["n_frames"][i]) for i in own]
    frames = np.concatenate(spans)
    for name, table in tables.items():
        _check_frames(shard, video, name, table, frames, tables["angles"])
    rows = np.concatenate([first_rows[i] + np.arange(cuts["n_frames"][i]) for i in own])
    targets = {**tables["angles"], **tables["keypoints"], **tables["activity"]}
    return {
        "video_id": [video] * len(frames),
        "sequence": np.repeat(cuts["sequence"][own], cuts["n_frames"][own]),
        "packet_offset": packets["offset"][rows],
        "packet_size": packets["size"][rows],
        "keyframe": packets["keyframe"][rows],
        **{column.name: targets[column.name][frames] for column in FRAMES.columns if column.name in targets
           and column.name != "video_id"},
    }  # fmt: skip


def _check_times(shard: str, video: str, angles: Columns, target_fps: float | None) -> None:
    """Check that every pose has its frame's time; where videos keep their own frames, the crops have checked it."""
    if target_fps is None:
        return
    times = angles["frame"] / target_fps
    wrong = np.flatnonzero(np.abs(angles["time_s"] - times) > TIME_TOLERANCE_S)
    if len(wrong):
        row = wrong[0]
        raise ShardError(
            f"shard {shard}, video {video!r}: frame {angles['frame'][row]} is at {times[row]:g} s, its pose at "
            f"{angles['time_s'][row]:g} s; the poses are of another rate than {target_fps:g}: import them again, or "
            "rerun the stage extract_pose"
        )


def _check_frames(shard: str, video: str, name: str, table: Columns, frames: Any, angles: Columns) -> None:
    """Check that the table has a row for each frame of the video, in order, at the time that the angles have."""
    n = len(table["frame"])
    if frames[-1] >= n:
        raise ShardError(f"shard {shard}, video {video!r}: {name} has {n} frames, the crops go to {frames[-1]}; {REDO}")
    if not np.array_equal(table["frame"], np.arange(n)):
        raise ShardError(f"shard {shard}, video {video!r}: the frames of {name} do not count from 0; rerun its stage")
    if not np.array_equal(table["time_s"], angles["time_s"]):
        raise ShardError(f"shard {shard}, video {video!r}: {name} and angles disagree on the frames' times; rerun both")


def _sequence_rows(
    shard: str, videos_file: str | Path, cuts: Columns, first_rows: Any, target_fps: float | None
) -> Columns:
    """SEQUENCES rows of the shard."""
    of_sheet = [column.name for column in SHEET_COLUMNS]
    videos = read_table(videos_file, VIDEOS, ["video_id", "status", "fps", *of_sheet])
    place = {video: i for i, video in enumerate(videos["video_id"]) if videos["status"][i] == "ok"}
    lost = set(cuts["video_id"]) ^ set(place)
    if lost:
        raise ShardError(f"shard {shard}: videos and crops disagree on video {min(lost)!r}; {REDO}")
    rows = [place[video] for video in cuts["video_id"]]
    return {
        "shard": [shard] * len(rows),
        "sequence": cuts["sequence"],
        "video_id": cuts["video_id"],
        **{name: [videos[name][row] for row in rows] for name in of_sheet},
        "first_row": first_rows,
        "n_frames": cuts["n_frames"],
        "fps": np.array([target_fps or videos["fps"][row] for row in rows], np.float32),
    }
