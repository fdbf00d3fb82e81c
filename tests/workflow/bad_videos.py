"""Hostile and odd videos, made by FFmpeg from real clips, and the status that each must get."""

import subprocess
from pathlib import Path

import imageio_ffmpeg

SECONDS = 1.2  # of a good video
CASES = {  # video -> (status, reason)
    "good": ("ok", ""),
    "missing": ("rejected", "missing_file"),
    "zero": ("rejected", "empty_file"),
    "truncated": ("rejected", "not_a_video"),
    "audio_only": ("rejected", "no_video_stream"),
    "text": ("rejected", "not_a_video"),
    "nobody": ("rejected", "no_signer"),
    "leaves_halfway": ("ok", ""),
    "ten_frames": ("rejected", "too_few_frames"),
    "portrait": ("ok", ""),
    "phone_120fps": ("ok", ""),
    "vfr": ("ok", ""),
    "rotated": ("ok", ""),
    "gif": ("ok", ""),
    "ten_frames_test": ("ok", ""),
}
NOTES = {"leaves_halfway": "1 shot cut"}  # details of good videos
# Data sets whose training videos are all lost, with a good video to test on: video -> dataset, split, gloss, text.
LOST = {
    **{f"sign_{gloss}": ("signs", "train", gloss, "") for gloss in ("HELLO", "YES")},
    "sign_test": ("signs", "test", "YES", ""),
    **{f"sentence_{k}": ("sentences", "train", "", f"it rains {k}") for k in range(2)},
    "sentence_test": ("sentences", "test", "", "it rains"),
}


def ffmpeg(*arguments: str | Path) -> None:
    """Make a test video."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True)


def add_bad_videos(sheet: Path, clips: Path, folder: Path) -> None:
    """Make the videos of CASES in a folder, and append them and LOST to a sheet."""
    files = _make_videos(clips, folder)
    cases = {case: (files[case], "cases", "test" if case.endswith("_test") else "train", "", "") for case in CASES}
    lost = {
        video: (files["good"] if video.endswith("_test") else folder / f"{video}.mp4", *cells)
        for video, cells in LOST.items()
    }
    with open(sheet, "a", encoding="utf-8") as file:
        for video, (path, dataset, split, gloss, text) in {**cases, **lost}.items():
            file.write(f"{video}\t{path}\t{dataset}\t{split}\t{gloss}\t\t\t\t\t\t{text}\n")


def _make_videos(clips: Path, folder: Path) -> dict[str, Path]:
    """One file per case, by case."""
    cars = clips / "robust_no_person_cars.mp4"
    files = {case: folder / f"{case}.mp4" for case in CASES}
    ffmpeg("-i", clips / "asl_yes_A.mkv", "-t", f"{SECONDS}", "-an", files["good"])
    clip = files["good"]
    files["zero"].touch()
    files["truncated"].write_bytes(files["good"].read_bytes()[: files["good"].stat().st_size * 6 // 10])
    ffmpeg("-f", "lavfi", "-i", "sine=duration=2", files["audio_only"])
    files["text"].write_text("This is no video.\n" * 100)
    ffmpeg("-i", cars, "-t", "1", "-an", files["nobody"])
    both = "[1:v]trim=duration=1,scale=640:480,setsar=1,fps=30[b];[0:v]setsar=1,fps=30[a];[a][b]concat=n=2"
    ffmpeg("-i", clip, "-i", cars, "-filter_complex", both, "-an", files["leaves_halfway"])
    ffmpeg("-i", clip, "-frames:v", "10", files["ten_frames"])
    ffmpeg("-i", clip, "-ss", "0.5", "-frames:v", "10", files["ten_frames_test"])
    ffmpeg("-i", clip, "-vf", "crop=360:480", files["portrait"])
    ffmpeg("-i", clip, "-vf", "fps=120", files["phone_120fps"])
    files["vfr"] = folder / "vfr.mkv"
    ffmpeg("-i", clip, "-vf", "select='lt(n,15)+not(mod(n,3))'", "-fps_mode", "vfr", files["vfr"])
    ffmpeg("-i", clip, "-vf", "transpose=clock", folder / "lying.mp4")
    ffmpeg("-display_rotation", "90", "-i", folder / "lying.mp4", "-c", "copy", files["rotated"])
    files["gif"] = folder / "with spaces and ünïcode.gif"
    ffmpeg("-i", clip, "-vf", "fps=12.5,scale=480:-1", files["gif"])
    return files
