"""Small files in the formats of published data sets."""

from pathlib import Path


def touch(*paths: Path) -> None:
    """Write files with some content; creates their folders."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")


def write(path: Path, text: str) -> Path:
    """Write a text file; creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def pictures(*folders: Path) -> None:
    """Make folders with one image each."""
    touch(*(folder / "images0001.png" for folder in folders))
