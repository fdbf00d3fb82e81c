"""A contact sheet of different signers and signs: `python -m signrep_core.synthetic.gallery OUT.png`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from signrep_core.store.files import atomic_path
from signrep_core.synthetic.anatomy import build_surface
from signrep_core.synthetic.perform import NO_GLOSS, perform
from signrep_core.synthetic.render import Expression, backdrop, render
from signrep_core.synthetic.signer import make_scene, make_signer
from signrep_core.synthetic.surface import pose_signer

GLOSSES = (
    "HELLO", "HOUSE", "MOTHER", "PLAY", "HELP", "TREE", "BOOK", "LOVE", "WAIT", "RED", "CAR",
    "PHONE", "BALL", "SEE", "SCHOOL", "TEACHER", "DOOR", "COFFEE", "EAT", "BIG", "YOU",
)  # fmt: skip


def draw_contact_sheet(
    path: str | Path, glosses: Sequence[str] = GLOSSES, *, columns: int = 7, size: int = 232, seed: int = 20
) -> None:
    """Write a PNG with one image per gloss, each by another signer, in the middle of its stroke."""
    import cv2

    images = [_image(gloss, seed + k, size) for k, gloss in enumerate(glosses)]
    images += [np.zeros_like(images[0])] * (-len(images) % columns)
    rows = [np.concatenate(images[start : start + columns], 1) for start in range(0, len(images), columns)]
    with atomic_path(path) as partial:
        cv2.imwrite(str(partial), np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _image(gloss: str, seed: int, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) uint8."""
    signer = make_signer(seed)
    scene, motion = make_scene(seed, signer), perform(signer, (gloss,), seed)
    stroke = np.flatnonzero(motion.gloss != NO_GLOSS)
    now = stroke[len(stroke) // 3 : len(stroke) // 3 + 1]
    body, right, left, lids, mouth, brows = (
        values[now].astype(np.float32)
        for values in (motion.body, motion.right, motion.left, motion.lids, motion.mouth, motion.brows)
    )
    pose = pose_signer(signer, body, right, left)
    wall = backdrop(scene, size).astype(np.float32)
    image = render(build_surface(signer), pose, Expression(lids, mouth, brows), scene, wall, size)[0]
    return (image * 255 + 0.5).astype(np.uint8)


if __name__ == "__main__":
    draw_contact_sheet(sys.argv[1])
