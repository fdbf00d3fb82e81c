"""Tasks on the videos of a shard: run in worker processes, finished ones kept in the job's resume cache.

A task is a mapping for JSON: the fields of a `VideoTask`, the settings of its stage, and where its result goes (`key`,
`cache`, `files`). A result is a mapping with `reason` (a key of errors.REASONS; empty = done), `detail`, and what the
stage adds, such as `frames` (how many it has done).
"""

import logging
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from signrep_core.errors import SignRepError, VideoError
from signrep_core.progress import Progress
from signrep_core.store.resume import ResumeCache, work_key
from signrep_core.store.video_status import VideoTask
from signrep_core.workers import Died, run_tasks

log = logging.getLogger(__name__)

Task = dict[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """A stage that does one task per video."""

    name: str  # for progress and messages
    worker: Sequence[str]  # as `workers.run_tasks` takes it
    failed: str  # reason of a video in which the worker process died


# ---------------------------------------------------------------- the parent


def make_task(
    video: VideoTask, settings: Mapping[str, Any], cache: ResumeCache, suffixes: Sequence[str], made_by: Any
) -> Task:
    """Make the task of a video.

    Args:
        settings: of the stage, values for JSON.
        suffixes: of the files that the work leaves in the cache: `{key}.{suffix}`.
        made_by: what else the result depends on, such as versions.
    """
    task = {**asdict(video), **settings}
    key = work_key(video.path, task, made_by)
    return {**task, "key": key, "cache": str(cache.folder), "files": [f"{key}.{suffix}" for suffix in suffixes]}


def run_video_tasks(
    stage: Stage, tasks: Sequence[Task], frames: Sequence[float], threads: int, shard: str
) -> Generator[Result, None, None]:
    """Do the tasks that no resume cache holds, the longest first, with progress.

    Args:
        frames: about how many frames each task has.
        shard: for the progress.

    Yields:
        The result of each task, in order; of a video in which the worker died, `stage.failed`.
    """
    results = {i: found for i, task in enumerate(tasks) if (found := _cache(task).find(task["key"])) is not None}
    left = [i for i in range(len(tasks)) if i not in results]
    if results:
        log.info("%d of %d videos were finished before", len(results), len(tasks))
    counted = [0] * len(tasks)

    def count(number: int, more: int) -> None:
        counted[left[number]] += more
        progress.advance(more)

    order = sorted(range(len(left)), key=lambda number: -frames[left[number]])
    running = run_tasks(stage.worker, [tasks[i] for i in left], threads=threads, order=order, on_frames=count)
    with Progress(f"{stage.name} {shard}", sum(frames)) as progress, closing(running):
        for i, task in enumerate(tasks):
            result = results.pop(i) if i in results else next(running)
            if isinstance(result, Died):
                result = {"reason": stage.failed, "detail": f"{task['path']}: its worker process {result.how}"}
            done = max(result.get("frames", 0), counted[i])
            progress.expect(done - frames[i])
            progress.advance(done - counted[i], note=f"{i + 1}/{len(tasks)} videos")
            yield result


# ---------------------------------------------------------------- the worker


def do_video_task(task: Task, work: Callable[[Task], Result], failed: str) -> tuple[Result, bool]:
    """Do a task and record its result in the job's resume cache, unless an unexpected error is its cause.

    Returns:
        The result, and whether there was no unexpected error.
    """
    result, expected = try_video(task["path"], lambda: work(task), failed)
    if expected:
        _cache(task).record(task["key"], result, task["files"] if not result["reason"] else [])
    return result, expected


def try_video(path: str, work: Callable[[], Result], failed: str) -> tuple[Result, bool]:
    """Do work on one video. Whatever error its file causes is the video's result, so the other videos go on.

    Args:
        failed: reason of a video that causes an unexpected error.

    Returns:
        The result, and whether there was no unexpected error.

    Raises:
        SignRepError: of another kind than VideoError: a full disk is no property of the video.
    """
    try:
        return work(), True
    except VideoError as error:
        return {"reason": error.reason, "detail": error.detail}, True
    except SignRepError:
        raise
    except Exception as error:
        log.error("%s: %s", path, traceback.format_exc())
        return {"reason": failed, "detail": f"{type(error).__name__}: {error}"}, False


def task_files(task: Task) -> list[Path]:
    """Paths of the files that a task leaves in the resume cache."""
    return [Path(task["cache"]) / name for name in task["files"]]


def _cache(task: Task) -> ResumeCache:
    return ResumeCache(Path(task["cache"]))
