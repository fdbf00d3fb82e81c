"""Small files of published data sets' schemas."""

from pathlib import Path


def touch(*paths: Path) -> None:
    """Files with something in them, with their folders."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")


def write(path: Path, text: str) -> Path:
    """A text file with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def pictures(*folders: Path) -> None:
    """Folders with a picture each."""
    touch(*(folder / "images0001.png" for folder in folders))
