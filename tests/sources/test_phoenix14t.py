"""Phoenix14T's corpus tables and frame folders."""

from signrep_core.sources.phoenix14t import list_phoenix14t
from signrep_core.sources.sheet import Row
from tests.sources.files import pictures, write

HEADER = "name|video|start|end|speaker|orth|translation\n"


def corpus(root, **lines):
    for split in ("train", "dev", "test"):
        table = root / "annotations" / "manual" / f"PHOENIX-2014-T.{split}.corpus.csv"
        write(table, HEADER + lines.get(split, ""))


def test_sentences_are_frame_folders_at_25_fps_with_glosses_and_text(tmp_path):
    root = tmp_path / "release" / "PHOENIX-2014-T"
    frames = root / "features" / "fullFrame-210x260px"
    corpus(
        root,
        dev="11August-2|11August-2/1/*.png|-1|-1|Signer08|DRUCK TIEF KOMMEN|tiefer luftdruck bestimmt\n",
        train='a-1|a-1/1/*.png|-1|-1|Signer01|REGEN|"regen und schauer\nb-2|b-2/1/*.png|-1|-1|Signer02|SONNE|sonne\n',
    )
    pictures(frames / "dev" / "11August-2", frames / "train" / "a-1" / "1")  # as released, and with the folder 1
    for folder in (root, root.parent):
        listing = list_phoenix14t(folder)
        assert listing.rows == [
            Row("a-1", str(frames / "train/a-1/1"), "phoenix14t", "train", "REGEN", "gsg", "Signer01", fps=25,
                text='"regen und schauer'),
            Row("11August-2", str(frames / "dev/11August-2"), "phoenix14t", "val", "DRUCK TIEF KOMMEN", "gsg",
                "Signer08", fps=25, text="tiefer luftdruck bestimmt"),
        ]  # fmt: skip
        assert listing.coverage() == {"train": (1, 2), "val": (1, 1)}
