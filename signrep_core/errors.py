"""The exceptions that SignRep raises, and the reason codes of videos that do not reach the shards.

SignRepError
├── ConfigError      a key or value of the configuration
├── SheetError       a line or column of the sheet
├── SourceError      a data set's own metadata file
├── VideoError       one video cannot be used: has a reason code; the rest of its shard continues
├── StorageError     a file cannot be written: full disk, read-only folder
├── TableError       a Parquet table of another schema or version, or broken
├── ShardError       MP4, packet index and tables of a shard disagree
├── RecordError      the record of an output is damaged, or an output of a job is missing
├── CheckpointError  weights that do not fit or cannot be read
└── TrainingError    a training that cannot continue

A message says where the error is, what was expected, what was found, and what to do.
"""

# Reason codes of the video status table (`videos/{shard}.parquet`), in the order of the stages.
REASONS = {
    # rejected by probe
    "missing_file": "no file at the sheet's path",
    "empty_file": "the file has zero bytes",
    "not_a_video": "no demuxer recognises the file as a video",
    "no_video_stream": "the container holds no video stream (audio only)",
    "too_large": "a frame has more pixels than 8K",
    "undecodable": "no frame of the video stream can be decoded",
    "no_duration": "the frames have no usable times: the video has no duration",
    "broken_clock": "the frames' times are impossible: most go backwards, or over 300 frames a second",
    "too_long": "more than four hours, or more frames than four hours can hold",
    "empty_span": "the sheet's start..end holds no frame of the video",
    # excluded by deduplicate
    "overlap": "the video also belongs to an evaluation data set",
    # rejected by extract_pose
    "no_signer": "no person was found in any frame",
    "signer_too_small": "the person is too small in the frame for the hands to be seen",
    "pose_failed": "the pose backend failed on this video",
    # rejected by crop_signers
    "too_few_frames": "a video for pretraining has fewer frames on the common timeline than one window (16)",
    "signer_too_brief": "in a video for pretraining, no run of 16 consecutive frames shows a signer",
}

# Flags of frames with unreliable angles (`angles/{shard}.parquet`), the strongest first.
FLAGS = {
    "absent": "no shoulders were detected: every angle was filled in time",
    "turned_away": "the shoulders are in reverse order: the signer is seen from behind",
    "brief": "the video has fewer than eight frames",
    "incomplete": "a joint was not detected: its angles were filled in time, or guessed from the others",
}


class SignRepError(Exception):
    """Base of every error that SignRep raises on purpose."""


class ConfigError(SignRepError):
    """A key or value of the configuration is wrong."""


class SheetError(SignRepError):
    """The sheet is wrong; the message names the line and the column."""


class SourceError(SignRepError):
    """A data set's own metadata file is wrong; the message names the entry."""


class VideoError(SignRepError):
    """One video cannot be used; `reason` is a key of REASONS, `detail` says what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reason code {reason!r}; add it to signrep_core.errors.REASONS")
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class StorageError(SignRepError):
    """A file cannot be written: the disk is full, or the folder is read-only."""


class TableError(SignRepError):
    """A table has another schema or version than this code reads, or is broken."""


class ShardError(SignRepError):
    """The files of a shard disagree."""


class RecordError(SignRepError):
    """The record of an output is damaged, or an output of a job is missing."""


class CheckpointError(SignRepError):
    """Weights that do not fit the model, or that cannot be read."""


class TrainingError(SignRepError):
    """Training cannot continue; the message names the step and the cause."""
