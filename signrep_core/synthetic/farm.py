"""Renders videos in child processes: `python -m signrep_core.synthetic.farm` renders what comes on standard input.

Each child has one thread, also where there is only one: sums over several threads differ in their last bits, and the
same performance shall give the same video.
Plain child processes and not `multiprocessing`, which would run the caller's main script (a Snakemake script) anew in
each. One JSON value a line: a performance and its path go in, the number of frames or an error comes out.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from signrep_core.errors import SignRepError
from signrep_core.synthetic.corpus import Performance, from_json, render_video, to_json


def render_all(tasks: Sequence[tuple[Performance, Path]], processes: int, device: str | None = None) -> Iterator[int]:
    """Render videos, `processes` at a time; gives each one's number of frames as it is done.

    Raises:
        SignRepError: a video cannot be rendered; names it.
    """
    if not tasks:
        return
    count = min(max(processes, 1), len(tasks))
    workers = [_start_worker() for _ in range(count)]
    free: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def render(task: tuple[Performance, Path]) -> int:
        worker = free.get()
        try:
            return _ask(worker, *task, device)
        finally:
            free.put(worker)

    pool = ThreadPoolExecutor(count)
    try:
        for future in as_completed([pool.submit(render, task) for task in tasks]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()


def _start_worker() -> "subprocess.Popen[str]":
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "signrep_core.synthetic.farm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **threads},
    )


def _ask(worker: "subprocess.Popen[str]", performance: Performance, path: Path, device: str | None) -> int:
    assert worker.stdin is not None
    assert worker.stdout is not None
    task = {"performance": to_json(performance), "path": str(path), "device": device}
    try:
        worker.stdin.write(json.dumps(task) + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
    except OSError:
        line = ""
    answer = json.loads(line) if line else {"error": f"its process ended with exit status {worker.poll()}"}
    if "error" in answer:
        raise SignRepError(f"{path}: video {performance.video_id!r} could not be rendered: {answer['error']}")
    return int(answer["frames"])


def main() -> None:
    """Serve tasks until standard input ends."""
    import cv2

    cv2.setNumThreads(1)
    for line in sys.stdin:
        task = json.loads(line)
        answer: dict[str, int | str]
        try:
            answer = {"frames": render_video(from_json(task["performance"]), task["path"], task["device"])}
        except Exception as error:  # told to the parent, which decides
            answer = {"error": f"{type(error).__name__}: {error}\n{traceback.format_exc()}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
