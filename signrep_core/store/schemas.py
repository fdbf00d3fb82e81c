"""Schemas of the tables that stages exchange: columns, shapes and versions.

A column with a shape is a fixed-size list of its flattened values. Raise a table's version when a column changes its
name, type, shape or meaning: readers then refuse older files and name the stage to rerun, and the workflow reruns it.

Legend: J = 61 joints; xyz metres in skeleton axes, neck at the origin; xy pixels of the source frame.
"""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from signrep_core.skeleton import (
    FINGERTIP_DESTINATIONS,
    FINGERTIPS,
    INTERACTION_DESTINATIONS,
    INTERACTION_SOURCES,
    N_BODY_ANGLES,
    N_BODY_OFFSETS,
    N_HAND_ANGLES,
    N_HAND_OFFSETS,
    N_JOINTS,
)


@dataclass(frozen=True)
class Column:
    """One column: `dtype` is the value's Arrow type, `shape` that of a row's array (empty for a scalar)."""

    name: str
    dtype: pa.DataType
    shape: tuple[int, ...] = ()
    nullable: bool = False


@dataclass(frozen=True)
class Schema:
    """A table: its name, its version, the stage (rule) that writes it and its columns."""

    name: str
    version: int
    stage: str
    columns: tuple[Column, ...]


FLOAT, INT, LONG, BOOL, TEXT = pa.float32(), pa.int32(), pa.int64(), pa.bool_(), pa.string()

# Columns of the sheet that are copied to the video status table and to the shards' index.
SHEET_COLUMNS = (
    Column("dataset", TEXT),
    Column("split", TEXT),
    Column("gloss", TEXT),
    Column("language", TEXT),
    Column("signer", TEXT),
    Column("text", TEXT),                               # the sentence in a spoken language, for translation
)  # fmt: skip
_FRAME_KEYS = (Column("video_id", TEXT), Column("frame", INT), Column("time_s", pa.float64()))
_ANGLES = (
    Column("body_angles", FLOAT, (N_BODY_ANGLES,)),
    Column("right_angles", FLOAT, (N_HAND_ANGLES,)),
    Column("left_angles", FLOAT, (N_HAND_ANGLES,)),
)
_KEYPOINTS = (Column("keypoints", FLOAT, (N_JOINTS, 3)), Column("confidence", FLOAT, (N_JOINTS,)))
_ACTIVITY = (Column("right_active", BOOL, nullable=True), Column("left_active", BOOL, nullable=True))

# The status of every video of a shard. probe writes the first table, each later stage makes more rows final, and the
# last table is published as videos/{shard}.parquet.
VIDEOS = Schema(
    "videos", 2, "probe",
    (
        Column("video_id", TEXT),
        Column("path", TEXT),
        *SHEET_COLUMNS,
        Column("start", pa.float64(), nullable=True),   # seconds of the annotated span; null = from the beginning
        Column("end", pa.float64(), nullable=True),     # null = to the end
        Column("status", TEXT),                         # ok, excluded or rejected
        Column("reason", TEXT),                         # a key of errors.REASONS, empty when ok
        Column("detail", TEXT),                         # what was found; for an ok video notes
        Column("width", INT),                           # upright, after rotation
        Column("height", INT),
        Column("fps", FLOAT),                           # mean rate of the source; of an image folder the sheet's
        Column("n_frames", INT),                        # of the source stream
        Column("duration_s", FLOAT),
        Column("codec", TEXT),
        Column("rotation", INT),                        # degrees, as stored in the file
        Column("vfr", BOOL),                            # variable frame rate
        Column("sha256", TEXT),
    ),
)  # fmt: skip

# States of a hand in a frame.
MISSING, SEEN, RECOVERED, INTERPOLATED, OUTSIDE = "", "seen", "recovered", "interpolated", "outside"
DETECTED: Final = (SEEN, RECOVERED)
HAND_STATES: Final = (MISSING, *DETECTED, INTERPOLATED, OUTSIDE)

POSE = Schema(
    "pose", 4, "extract_pose",
    (
        *_FRAME_KEYS,
        Column("present", BOOL),                        # the signer was found in this frame
        Column("damaged", BOOL),                        # this frame of the video cannot be decoded; never present
        Column("part", INT),                            # counts the changes of the picture's shape or rotation
        Column("shot", INT),                            # counts the shot cuts
        Column("doubtful", BOOL),                       # other people are near: who the signer is, is uncertain
        Column("landmarks", FLOAT, (N_JOINTS, 3)),      # NaN where not detected
        Column("image_xy", FLOAT, (N_JOINTS, 2)),       # NaN where not detected
        Column("confidence", FLOAT, (N_JOINTS,)),       # 0 where not detected
        Column("box", FLOAT, (4,)),                     # x0, y0, x1, y1 of the visible joints, pixels; NaN if absent
        Column("right_hand", TEXT),                     # one of HAND_STATES
        Column("left_hand", TEXT),
    ),
)  # fmt: skip

ANGLES = Schema(
    "angles", 3, "solve_angles",
    (
        *_FRAME_KEYS,
        *_ANGLES,
        Column("body_offsets", FLOAT, (N_BODY_OFFSETS,)),   # of this frame; NaN where a joint is missing
        Column("hand_offsets", FLOAT, (N_HAND_OFFSETS,)),   # left and right pooled
        Column("confidence", FLOAT, (N_JOINTS,)),       # of the solved joints: the masks of A8
        Column("residual_m", FLOAT),                    # mean distance of the posed joints to the detected ones
        Column("interpolated", BOOL),                   # some angle was filled over a gap or guessed, not detected
        Column("flag", TEXT),                           # a key of errors.FLAGS, or empty
    ),
)  # fmt: skip

KEYPOINTS = Schema("keypoints", 2, "angles_to_keypoints", (*_FRAME_KEYS, *_KEYPOINTS))

DISTANCES = Schema(
    "distances", 1, "distance_priors",
    (
        *_FRAME_KEYS,
        Column("body", FLOAT, (len(INTERACTION_SOURCES), len(INTERACTION_DESTINATIONS), 3)),
        Column("right", FLOAT, (len(FINGERTIPS["right"]), len(FINGERTIP_DESTINATIONS["right"]), 3)),
        Column("left", FLOAT, (len(FINGERTIPS["left"]), len(FINGERTIP_DESTINATIONS["left"]), 3)),
    ),
)  # fmt: skip

# Activity in the window that starts at this frame; null where no full window starts.
ACTIVITY = Schema("activity", 1, "activity_labels", (*_FRAME_KEYS, *_ACTIVITY))

CROPS = Schema(
    "crops", 2, "crop_signers",
    (
        Column("video_id", TEXT),
        Column("sequence", INT),                        # counts from 0 within the shard
        Column("start_frame", INT),                     # on the common timeline
        Column("n_frames", INT),
        Column("x0", FLOAT),                            # the crop box, pixels of the source frame (may reach outside)
        Column("y0", FLOAT),
        Column("side", FLOAT),
    ),
)  # fmt: skip

# One row per frame of the shard's MP4, same order and count.
FRAMES = Schema(
    "frames", 4, "pack_shards",
    (
        *_FRAME_KEYS,
        Column("sequence", INT),
        Column("packet_offset", LONG),                  # bytes into the MP4
        Column("packet_size", INT),
        Column("keyframe", BOOL),
        *_ANGLES,
        *_KEYPOINTS,
        *_ACTIVITY,
    ),
)  # fmt: skip

SEQUENCES = Schema(
    "sequences", 2, "pack_shards",
    (
        Column("shard", TEXT),
        Column("sequence", INT),
        Column("video_id", TEXT),
        *SHEET_COLUMNS,
        Column("first_row", LONG),                      # row of the shard's frame table and frame of its MP4
        Column("n_frames", INT),
        Column("fps", FLOAT),
    ),
)  # fmt: skip


def features_schema(width: int, half: bool = False) -> Schema:
    """The features of a run's windows: vectors of `width` values (768 of the paper's model).

    Args:
        half: store 16 bits of each value; readers get 32 again, if they ask for this schema without it.
    """
    return Schema(
        "features", 1, "extract_features",
        (
            Column("video_id", TEXT),
            Column("start_frame", INT),                 # first frame of the window, on the common timeline
            Column("features", pa.float16() if half else FLOAT, (width,)),
            Column("right_active", FLOAT),              # probability that the hand is active
            Column("left_active", FLOAT),
        ),
    )  # fmt: skip


TOP = 5  # best glosses that are kept of a recogniser's prediction
PREDICTIONS = Schema(
    "predictions", 1, "evaluate_recognition",
    (
        Column("video_id", TEXT),
        Column("gloss", TEXT),                          # the true one
        Column("rank", INT),                            # of the true one, from 0; -1 = it was not trained on
        *(column for k in range(1, TOP + 1)
          for column in (Column(f"predicted_{k}", TEXT), Column(f"probability_{k}", FLOAT))),
    ),
)  # fmt: skip

# Translated sentences and their references.
TRANSLATIONS = Schema(
    "translations", 1, "evaluate_translation",
    (
        Column("video_id", TEXT),
        Column("reference", TEXT),
        Column("hypothesis", TEXT),                     # empty if the features could not be read
        Column("score", FLOAT),                         # log-probability over length, of the beam search
    ),
)  # fmt: skip

# True poses of the synthetic signers. `joints` are forward kinematics of the angles, in body axes; `camera_joints` are
# those points in camera axes (x right, y down, z away), to compare landmarks with. Both have the neck at the origin.
TRUTH = Schema(
    "truth", 2, "synthesize",
    (
        *_FRAME_KEYS,
        *_ANGLES,
        Column("body_offsets", FLOAT, (N_BODY_OFFSETS,)),   # the signer's true bone lengths
        Column("hand_offsets", FLOAT, (N_HAND_OFFSETS,)),
        Column("joints", FLOAT, (N_JOINTS, 3)),
        Column("camera_joints", FLOAT, (N_JOINTS, 3)),
        Column("image_xy", FLOAT, (N_JOINTS, 2)),           # pixels; may lie outside the frame
        Column("right_signing", BOOL),                      # the hand takes part in a sign's stroke
        Column("left_signing", BOOL),
        Column("gloss", TEXT),                              # the sign under way, empty in rest and transitions
    ),
)  # fmt: skip
