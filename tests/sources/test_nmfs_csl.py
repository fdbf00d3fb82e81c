"""NMFs-CSL's lists and frame folders."""

from signrep_core.sources.nmfs_csl import list_nmfs_csl
from signrep_core.sources.sheet import Row
from tests.sources.files import pictures, write


def test_videos_are_frame_folders_at_30_fps_with_their_labels(tmp_path):
    write(tmp_path / "uni_trainlist01.csv", "0001/P01_01,0\n0002/P01_02,610\n")
    write(tmp_path / "uni_testlist01.csv", "0001/P09_01,0\n")
    pictures(tmp_path / "jpg_video" / "0001" / "P01_01", tmp_path / "jpg_video" / "0001" / "P09_01")
    listing = list_nmfs_csl(tmp_path)
    path = f"{tmp_path}/jpg_video/0001"
    assert listing.rows == [
        Row("0001/P01_01", f"{path}/P01_01", "nmfs_csl", "train", "0", "csl", fps=30),
        Row("0001/P09_01", f"{path}/P09_01", "nmfs_csl", "test", "0", "csl", fps=30),
    ]
    assert [(entry.video_id, entry.gloss) for entry in listing.missing] == [("0002/P01_02", "610")]
