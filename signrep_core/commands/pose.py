"""`pose`: extract the pose of video files, without the workflow."""

import argparse
import os
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "pose",
        help="extract the pose of video files, without the workflow",
        epilog="example: signrep pose clips/*.mp4 --out poses --format pose",
    )
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files, or image folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for pose.parquet and videos.parquet")
    parser.add_argument(
        "--format", choices=("parquet", "pose"), default="parquet",
        help="pose: a .pose file for each video too (default: parquet)",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of the networks (default: cpu)")
    parser.add_argument("--fps", type=float, help="rate of image folders")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the tables and files; videos without a pose are named, with the reason."""
    from signrep_core.config import Config, Pose
    from signrep_core.errors import SignRepError
    from signrep_core.interop.pose_format import export_table
    from signrep_core.pose.files import extract_files
    from signrep_core.store.job import open_job
    from signrep_core.store.schemas import VIDEOS
    from signrep_core.store.tables import write_table

    config = Config(pose=Pose(device=options.device))
    table, status = options.out / "pose.parquet", options.out / "videos.parquet"
    with open_job([table, status], {}, command=options.command) as job:
        videos = extract_files(
            options.videos, table, config, threads=options.threads, fps=options.fps, provenance=job.provenance,
        )  # fmt: skip
        write_table(status, VIDEOS, videos, job.provenance)
    rejected = [k for k, status in enumerate(videos["status"]) if status != "ok"]
    for k in rejected:
        print(f"{videos['video_id'][k]}: {videos['reason'][k]}: {videos['detail'][k]}")
    done = len(videos["status"]) - len(rejected)
    if not done:
        raise SignRepError(f"none of {len(rejected)} videos has a pose; the reasons are above and in {status}")
    written = export_table(table, videos, options.out) if options.format == "pose" else 0
    files = f" and {written} .pose files" if written else ""
    print(f"{table}{files}: {done} videos" + (f"; {len(rejected)} have no pose" if rejected else ""))
