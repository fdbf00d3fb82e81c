"""A process that crops the signer of one video after another: `python -m signrep_core.video.crop_worker`."""

import logging
import traceback
from pathlib import Path
from typing import Any

from signrep_core.errors import SignRepError, VideoError
from signrep_core.store.resume import ResumeCache
from signrep_core.video.crop import encode_video, piece_paths
from signrep_core.workers import Reporter, Send, Work, serve


def prepare(send: Send) -> Work:
    """A function that does one task."""

    def work(task: dict[str, Any]) -> dict[str, str]:
        outcome, files = {"reason": "", "detail": ""}, piece_paths(task)
        try:
            encode_video(task, Reporter(send))
        except VideoError as error:
            outcome, files = {"reason": error.reason, "detail": error.detail}, []
        except SignRepError:
            raise  # a full disk says nothing about this video
        except Exception as error:  # a broken file can break a decoder in any way, and must not cost the shard
            logging.getLogger(__name__).error("%s: %s", task["path"], traceback.format_exc())
            return {"reason": "undecodable", "detail": f"{type(error).__name__}: {error}"}
        ResumeCache(Path(task["cache"])).record(task["key"], outcome, files)
        return outcome

    return work


if __name__ == "__main__":
    serve(prepare)
