"""ASL-Citizen's splits."""

from signrep_core.sources.asl_citizen import list_asl_citizen
from signrep_core.sources.sheet import Row
from tests.sources.files import touch, write

HEADER = "Participant ID,Video file,Gloss,ASL-LEX Code\n"


def test_the_splits_are_listed_and_the_gloss_is_the_tables_not_the_file_names(tmp_path):
    write(tmp_path / "splits" / "train.csv", HEADER + "P1,1156-REMEMBER.mp4,REMEMBER2,C_02_014\n")
    write(tmp_path / "splits" / "val.csv", HEADER + "P2,2-a b.mp4,DOG,A_1\n")
    write(tmp_path / "splits" / "test.csv", HEADER + "P3,3-seedDOG.mp4,DOG,A_1\nP3,4-CAT.mp4,CAT,A_2\n")
    videos = tmp_path / "videos"
    touch(*(videos / name for name in ("1156-REMEMBER.mp4", "2-a b.mp4", "3-seedDOG.mp4")))
    listing = list_asl_citizen(tmp_path)
    assert listing.rows == [
        Row("1156-REMEMBER", f"{videos}/1156-REMEMBER.mp4", "asl_citizen", "train", "REMEMBER2", "ase", "P1"),
        Row("2-a b", f"{videos}/2-a b.mp4", "asl_citizen", "val", "DOG", "ase", "P2"),
        Row("3-seedDOG", f"{videos}/3-seedDOG.mp4", "asl_citizen", "test", "DOG", "ase", "P3"),
    ]
    assert [(entry.video_id, entry.split) for entry in listing.missing] == [("4-CAT", "test")]


def test_names_keep_their_blanks_and_moved_videos_are_found(tmp_path):
    names = ["1-a  b.mp4", " 2-C.mp4", "3-D.mp4", "4-E.mp4"]
    rows = "".join(f'P1,"{name}",DOG,A\n' for name in names)
    for split in ("train", "val", "test"):
        write(tmp_path / "splits" / f"{split}.csv", HEADER + (rows if split == "train" else ""))
    videos = tmp_path / "videos"
    touch(videos / names[0], videos / names[1], videos / "train" / names[2], videos / "4-E.webm")
    listing = list_asl_citizen(tmp_path)
    assert [row.path for row in listing.rows] == [
        f"{videos}/{names[0]}", f"{videos}/{names[1]}", f"{videos}/train/3-D.mp4", f"{videos}/4-E.webm"
    ]  # fmt: skip
