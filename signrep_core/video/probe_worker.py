"""A process that probes one video after another: `python -m signrep_core.video.probe_worker`."""

import logging
import traceback
from dataclasses import asdict
from typing import Any

from signrep_core.errors import VideoError
from signrep_core.video.reader import probe_video
from signrep_core.workers import Send, Work, serve


def prepare(send: Send) -> Work:
    """A function that does one task."""
    return look


def look(task: dict[str, Any]) -> dict[str, Any]:
    """What a video holds, as of VideoInfo; or the reason why it cannot be used."""
    try:
        return asdict(probe_video(**task))
    except VideoError as error:
        return {"reason": error.reason, "detail": error.detail}
    except MemoryError as error:  # beyond the limit of a worker
        return {"reason": "too_large", "detail": f"{task['path']}: probing it takes too much memory ({error})"}
    except Exception as error:  # a broken file can break a decoder in any way, and must not cost the shard
        logging.getLogger(__name__).error("%s: the probe failed: %s", task["path"], traceback.format_exc())
        return {"reason": "undecodable", "detail": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    serve(prepare)
