"""Check whether this machine can run everything; a failed check says what to do."""

import importlib.util
import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from signrep_core.config import load_config, paper_config
from signrep_core.errors import SignRepError
from signrep_core.extras import EXTRA_OF
from signrep_core.store.files import check_folder
from signrep_core.store.records import SNAKEFILE
from signrep_core.window import WINDOW

PACKAGES: Final = ("torch", "timm", "mediapipe", "cv2", "av", "pyarrow", "pandas", "snakemake")
_DISTRIBUTIONS: Final = {"cv2": "opencv-contrib-python"}
# Codecs of videos and their decoders.
CODECS: Final = {"H.264": "h264", "H.265": "hevc", "VP8": "vp8", "VP9": "vp9", "AV1": "libdav1d", "MPEG-4": "mpeg4"}
GB_NEEDED: Final = 20
MEMORY_GB: Final = 8
SHARED: Final = Path("/dev/shm")  # through which the loader's processes pass batches


class Check(NamedTuple):
    """Result of a check and its remedy; the state `note` concerns something that only some tasks need."""

    state: Literal["ok", "note", "fails"]
    found: str
    remedy: str = ""


def check_machine(results: Path) -> Iterator[tuple[str, Check]]:
    """Run the checks; yields the name and result of each as soon as it is done."""
    checks: dict[str, Callable[[], Check]] = {
        "python": _python,
        **{package: lambda package=package: _package(package) for package in PACKAGES},  # type: ignore[misc]
        "encoder": _encoder,
        "decoders": _decoders,
        "pose models": _pose_models,
        "lifter": _lifter,
        "gpu": _gpu,
        "cores": _cores,
        "memory": _memory,
        "shared memory": lambda: check_shared_memory(SHARED),
        "folder": lambda: check_place(SNAKEFILE.parent),
        "disk": lambda: _disk(results),
    }
    for name, check in checks.items():
        try:
            yield name, check()
        except Exception as error:  # any error means that the check failed
            yield name, Check("fails", f"{type(error).__name__}: {error}", "install again: make .venv/installed")


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] in ((3, 11), (3, 12)):
        return Check("ok", found)
    return Check("fails", found, "SignRep needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11")


def _package(name: str) -> Check:
    if name in EXTRA_OF and importlib.util.find_spec(name) is None:
        return Check("note", "not installed", f"for work that needs it: pip install 'signrep[{EXTRA_OF[name]}]'")
    importlib.import_module(name)
    return Check("ok", metadata.version(_DISTRIBUTIONS.get(name, name)))


def _encoder() -> Check:
    """Encode a few frames with x264 and decode them."""
    from signrep_core.video.encode import Encoder, EncoderSettings
    from signrep_core.video.row import VideoRow, read_row

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.mp4"
        with Encoder(path, EncoderSettings(size=64)) as encoder:
            for k in range(8):
                encoder.write(np.full((64, 64, 3), 20 * k, np.uint8))
        n_frames = sum(1 for _ in read_row(VideoRow(str(path))))
    if n_frames != 8:
        return Check("fails", f"8 frames encoded, {n_frames} decoded", "reinstall imageio-ffmpeg and av")
    return Check("ok", "x264 encodes and decodes")


def _decoders() -> Check:
    import av

    missing = [name for name, decoder in CODECS.items() if decoder not in av.codecs_available]
    if missing:
        return Check("note", f"none for {', '.join(missing)}", "such videos will be rejected; install av from a wheel")
    return Check("ok", ", ".join(CODECS))


def _pose_models() -> Check:
    from signrep_core.config import Pose
    from signrep_core.pose.shard import describe_backend

    if importlib.util.find_spec("mediapipe") is None:
        return Check(
            "note", "none without mediapipe", f"to detect poses: pip install 'signrep[{EXTRA_OF['mediapipe']}]'"
        )
    backend = describe_backend(Pose())
    digests = [digest for digest in backend["model_sha256"].split(",") if digest]
    if not digests:
        remedy = "install mediapipe==0.10.21, the last wheel that carries them, or give pose.model a .task file"
        return Check("fails", f"{backend['backend']} without models", remedy)
    return Check("ok", f"{backend['backend']}, {len(digests)} models")


def _lifter() -> Check:
    from signrep_core.lift.lifter import load_lifter

    n_weights = sum(weights.numel() for weights in load_lifter().parameters())
    return Check("ok", f"{n_weights / 1e6:.1f} million weights, part of the package")


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("note", "none", "pretraining at the paper's size needs one; everything else runs without")
    properties = torch.cuda.get_device_properties(0)
    found = f"{torch.cuda.device_count()} × {properties.name}, {properties.total_memory / 1e9:.0f} GB"
    if not torch.cuda.is_bf16_supported():
        return Check("note", found, "it has no bf16: training will be slow")
    return Check("ok", found)


def _cores() -> Check:
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("ok", f"{n}: snakemake --cores {n}")


def _memory() -> Check:
    import psutil

    total = psutil.virtual_memory().total / 1e9
    if total < MEMORY_GB:
        return Check("note", f"{total:.0f} GB", f"below {MEMORY_GB} GB, run one job at a time: --cores 1")
    return Check("ok", f"{total:.0f} GB")


def check_shared_memory(folder: Path) -> Check:
    """Compare the shared memory that is free with the need of the paper's trainings."""
    from signrep_core.data.stream import shared_memory_need
    from signrep_core.model.inflate import CLIP

    if not folder.is_dir():
        return Check("ok", "no limit of its own")  # not on this system
    config, free = paper_config(), shutil.disk_usage(folder).free
    need = max(
        shared_memory_need(config.pretrain.batch_size * WINDOW, config.pretrain.workers),
        shared_memory_need(config.recognition.batch_size * CLIP, config.recognition.workers),
    )
    found = f"{free / 1e9:.1f} GB free, the paper's trainings need {need / 1e9:.1f}"
    if free < need:
        raised = f"docker run --shm-size={math.ceil(1.5 * need / 1e9)}g"
        return Check("note", found, f"in a container raise it ({raised}), or set fewer workers, each needs its share")
    return Check("ok", found)


def check_place(folder: Path) -> Check:
    """Check the path of the workflow's folder for characters that an engine cannot take."""
    found = str(folder)
    if set("{}") & set(found):
        return Check("fails", found, "Snakemake reads braces as wildcards: rename the folder, or clone elsewhere")
    if ":" in found:
        return Check("note", found, "Python makes no environment below a colon: make .venv elsewhere, or rename it")
    if any(map(str.isspace, found)):
        return Check("note", found, "conda may not work below a space: with --sdm conda give --conda-prefix DIR too")
    return Check("ok", found)


def _disk(results: Path) -> Check:
    try:
        results = Path(load_config({"results": str(results)}).results)
        check_folder(results)
    except SignRepError as error:
        return Check("fails", str(error), "choose another folder: --config results=DIR")
    folder = next(path for path in (results.absolute(), *results.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    found = f"{free:.0f} GB free for {results}"
    if free < GB_NEEDED:
        return Check("note", found, "an hour of video needs about 1 GB")
    return Check("ok", found)
