"""Look into the videos of a shard: the account that says what each holds, or why it cannot be used."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from signrep_core.errors import VideoError
from signrep_core.sources.sheet import Row
from signrep_core.store.accounts import Outcome, new_account, settle
from signrep_core.store.tables import Columns
from signrep_core.store.video import VideoInfo, probe_video

# Columns of the account that a probe fills, under the names that VideoInfo has for them.
PROBED = ("width", "height", "fps", "n_frames", "duration_s", "codec", "rotation", "vfr", "sha256")

_log = logging.getLogger(__name__)


def probe_shard(
    rows: Sequence[Row], *, target_fps: float | None = 25.0, min_frames: int = 16, threads: int = 4
) -> Columns:
    """Probe the videos of a shard, `threads` at a time.

    Args:
        target_fps: rate of the common timeline; None = each video's own frames.
        min_frames: on the common timeline, for a video to be usable: one window.

    Returns:
        the shard's account in the order of the rows; a video that cannot be used is rejected and the others go on.
    """

    def look(row: Row) -> VideoInfo | Outcome:
        try:
            return probe_video(row.path, row.start, row.end, target_fps, min_frames, row.fps)
        except VideoError as error:
            return _reject(row, error.reason, error.detail)
        except MemoryError:
            raise  # says nothing about this video
        except Exception as error:  # a broken file can break a decoder in any way, and must not cost the shard
            _log.exception("%s: the probe failed", row.video_id)
            return _reject(row, "undecodable", f"{type(error).__name__}: {error}")

    with ThreadPoolExecutor(max_workers=threads) as pool:
        found = dict(zip((row.video_id for row in rows), pool.map(look, rows), strict=True))
    account = new_account(rows)
    for place, row in enumerate(rows):
        info = found[row.video_id]
        if not isinstance(info, Outcome):
            for name in PROBED:
                account[name][place] = getattr(info, name)
    return settle(account, {video_id: info for video_id, info in found.items() if isinstance(info, Outcome)})


def _reject(row: Row, reason: str, detail: str) -> Outcome:
    detail = " ".join(detail.split())
    _log.info("%s: rejected, %s: %s", row.video_id, reason, detail)
    return Outcome("rejected", reason, detail)
