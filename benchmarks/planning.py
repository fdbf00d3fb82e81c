"""Time to plan the workflow for a corpus of 39,000 videos (dry run, nothing executed)."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N_VIDEOS = 39_000
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))


def rows() -> list[tuple[str, str]]:
    """Wall time and memory of a dry run over N_VIDEOS videos."""
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder, "videos.tsv")
        lines = "".join(f"v{i}\tvideos/{i}.mp4\tyoutube_sl_25\ttrain\n" for i in range(N_VIDEOS))
        sheet.write_text("video_id\tpath\tdataset\tsplit\n" + lines)
        config = [f"sheet={sheet}", f"results={folder}/results"]
        start = time.perf_counter()
        subprocess.run(
            [SNAKEMAKE, "--dry-run", "--quiet", "all", "--nolock", "--config", *config],
            cwd=Path(__file__).parents[1],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [(f"plan {N_VIDEOS:,} videos", f"{seconds:.1f} s, {peak:.0f} MiB")]
