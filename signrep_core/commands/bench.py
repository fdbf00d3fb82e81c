"""`bench`: measure an installed core on this machine, one subcommand per subject."""

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signrep_core.bench.figures import Figure


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments, a subcommand for each subject."""
    bench = commands.add_parser(
        "bench",
        help="measure speed and correctness on this machine; write JSON, compare with thresholds",
        epilog="example: signrep bench gpu --out bench",
    )
    subjects = bench.add_subparsers(required=True, metavar="SUBJECT")
    _add_gpu(subjects)
    _add_pose(subjects)
    _add_lifting(subjects)


def _add_gpu(subjects: argparse._SubParsersAction) -> None:
    parser = subjects.add_parser(
        "gpu",
        help="training, features and pose on a GPU",
        epilog="example: signrep bench gpu --out bench",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json, written after each part")
    parser.add_argument("--shards", type=Path, help="folder of packed shards (default: noisy videos, made in OUT)")
    parser.add_argument("--minutes", type=float, default=10, help="after which no part is begun (default: 10)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and few repetitions, to test the command")
    parser.set_defaults(run=_gpu)


def _gpu(options: argparse.Namespace) -> int:
    import torch

    from signrep_core.bench.gpu import default_shards, gpu_parts
    from signrep_core.bench.workload import Workload, tiny
    from signrep_core.errors import ConfigError

    if options.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("signrep bench gpu: PyTorch finds no CUDA GPU; see signrep doctor, or give --device cpu")
    shards = options.shards or default_shards(options.out)
    work = (tiny if options.tiny else Workload)(options.out, shards, options.device)
    parts = gpu_parts(work, options.minutes)
    return print_parts(options.out / "gpu.json", parts, {"command": options.command, **work.sizes()})


def _add_pose(subjects: argparse._SubParsersAction) -> None:
    parser = subjects.add_parser(
        "pose",
        help="the pose engine against MediaPipe: landmarks, hands, speed",
        epilog="example: signrep bench pose clips/*.mkv --out bench",
    )
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="videos of one signer each")
    parser.add_argument("--out", type=Path, required=True, help="folder for pose.json and the rendered videos")
    parser.add_argument("--frames", type=int, default=100, help="of each video, at most (default: 100)")
    parser.add_argument("--signers", type=int, default=2, help="rendered signers, one sentence each (default: 2)")
    parser.set_defaults(run=_pose)


def _pose(options: argparse.Namespace) -> int:
    from signrep_core.bench.pose import PoseWork

    options.out.mkdir(parents=True, exist_ok=True)
    work = PoseWork(options.out, options.videos, options.frames, options.signers)
    return print_parts(options.out / "pose.json", work.parts(), {"command": options.command})


def _add_lifting(subjects: argparse._SubParsersAction) -> None:
    parser = subjects.add_parser(
        "lifting",
        help="the lifter on real hands and arms that it never saw, and on rendered signers",
        epilog="example: signrep bench lifting --out bench --videos",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for lifting.json, written after each part")
    parser.add_argument("--weights", type=Path, help="of the lifter (default: those that ship)")
    parser.add_argument("--motion", type=Path, help="real motion, as `lift bank` writes it (default: the shipped file)")
    parser.add_argument("--videos", action="store_true", help="render and detect signers too (a quarter of an hour)")
    parser.add_argument("--clips", type=Path, help="with --videos: folder of real clips, asl_*.mkv")
    parser.set_defaults(run=_lifting)


def _lifting(options: argparse.Namespace) -> int:
    from signrep_core.bench.lifting import motion_parts, video_parts

    parts = dict(motion_parts(options.weights, options.motion))
    if options.videos:
        parts |= video_parts(options.weights, options.out / "lifting", options.clips)
    return print_parts(options.out / "lifting.json", parts, {"command": options.command})


def print_parts(path: Path, parts: "Mapping[str, Callable[[], Iterable[Figure]]]", settings: Mapping[str, Any]) -> int:
    """Measure the parts of a subject and print them as a table; 1 if one failed or missed a threshold, else 0."""
    from signrep_core.bench.figures import HEADER, format_part, measure_parts

    print(HEADER, flush=True)
    passed = True
    for part in measure_parts(path, parts, settings):
        print("\n".join(format_part(part)), flush=True)
        passed = passed and part.passed
    print(f"{path}: {'all parts passed' if passed else 'a part failed: see the rows marked FAILED'}")
    return int(not passed)
