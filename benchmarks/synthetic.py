"""Speed of performing and rendering synthetic signers, on one core and on a GPU if there is one."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from signrep_core.synthetic.anatomy import build_surface
from signrep_core.synthetic.corpus import BATCH, Performance, plan_corpus, render_video
from signrep_core.synthetic.perform import perform
from signrep_core.synthetic.render import Expression, backdrop, render
from signrep_core.synthetic.signer import make_scene, make_signer
from signrep_core.synthetic.surface import pose_signer


def rows() -> list[tuple[str, str]]:
    """(what, figure with unit); processor time on one core, wall time on a GPU."""
    plan = plan_corpus(signers=6, glosses=6, takes=1, seed=0, size=320)
    start = time.process_time()
    frames = sum(len(perform(make_signer(v.signer_seed), v.glosses, v.seed)) for v in plan)
    perform_s = time.process_time() - start
    found = [
        ("demo corpus (6 signers × 6 glosses)", f"{frames} frames"),
        ("motion planned and solved", f"{frames / perform_s:,.0f} frames per core-second"),
    ]
    for size in (256, 320, 384):
        found.append(
            (f"video rendered and encoded, {size} px", f"{_video_s(plan[7], size):.3f} core-seconds per frame")
        )
    found.append((f"GPU, batches of {BATCH} frames, 256 px", _gpu()))
    return found


def _video_s(video: Performance, size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        frames = render_video(replace(video, size=size), Path(folder) / "a.mp4")
        return (time.process_time() - start) / frames


def _gpu(size: int = 256, repeats: int = 10) -> str:
    import torch

    if not torch.cuda.is_available():
        return "no GPU here"
    signer = make_signer(0)
    motion, scene, surface = perform(signer, ("HELLO",), 0), make_scene(0, signer), build_surface(signer)
    frames = np.resize(np.arange(len(motion)), BATCH)

    def on_device(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).cuda()

    angles = [on_device(values[frames]) for values in (motion.body, motion.right, motion.left)]
    face = Expression(*(on_device(values[frames]) for values in (motion.lids, motion.mouth, motion.brows)))
    wall = on_device(backdrop(scene, size))
    for repeat in range(repeats + 2):
        if repeat == 2:  # the first ones warm up
            torch.cuda.synchronize()
            start = time.perf_counter()
        render(surface, pose_signer(signer, *angles), face, scene, wall, size)
    torch.cuda.synchronize()
    return f"{repeats * BATCH / (time.perf_counter() - start):,.0f} frames/s ({torch.cuda.get_device_name()})"
