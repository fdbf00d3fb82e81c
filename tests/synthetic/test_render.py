"""The rasteriser by hand calculation, and the image: alike in numpy and torch, consistent with the joints, painted."""

import numpy as np
import pytest
import torch

from signrep_core.skeleton import HANDS
from signrep_core.synthetic.anatomy import build_surface
from signrep_core.synthetic.perform import perform
from signrep_core.synthetic.render import SUPERSAMPLE, Expression, backdrop, corner_weights, rasterise, render
from signrep_core.synthetic.signer import make_scene, make_signer, project
from signrep_core.synthetic.surface import pose_signer

SIZE = 96


def corner(x, y, depth=2.0):
    return [x, y, 1 / depth]


def triangles(*corners):
    return np.array([[corners]], np.float64).reshape(1, -1, 3, 3)


def covered(corners, side=8):
    pixel, face, nearness = rasterise(corners, side, side)
    return {(int(p) % side, int(p) // side): int(f) for p, f in zip(pixel, face, strict=True)}, nearness


def test_a_triangle_covers_the_pixels_whose_middles_it_contains():
    # facing the camera is clockwise on the screen (y down): (1,1) (1,5) (5,1)
    found, nearness = covered(triangles(corner(1, 1), corner(1, 5), corner(5, 1)))
    expected = {(x, y) for x in range(8) for y in range(8) if x + 0.5 > 1 and y + 0.5 > 1 and x + y + 1 < 6}
    assert set(found) == expected
    assert nearness == pytest.approx(np.full(len(expected), 0.5))


def test_a_triangle_that_faces_away_is_not_seen():
    assert covered(triangles(corner(1, 1), corner(5, 1), corner(1, 5)))[0] == {}


def test_the_nearer_triangle_hides_the_farther():
    near = [corner(1, 1, 1.0), corner(1, 5, 1.0), corner(5, 1, 1.0)]
    far = [corner(0, 0, 3.0), corner(0, 8, 3.0), corner(8, 0, 3.0)]
    found, _ = covered(triangles(*far, *near))
    assert found[(1, 1)] == 1
    assert found[(0, 0)] == 0


def test_two_triangles_of_a_square_cover_it_once_without_a_gap():
    a, b, c, d = corner(0.3, 0.2), corner(0.3, 7.7), corner(7.9, 7.7), corner(7.9, 0.2)
    corners = triangles(a, b, c, a, c, d)
    pixel, _, _ = rasterise(corners, 8, 8)
    assert sorted(pixel.tolist()) == sorted(set(pixel.tolist()))
    assert len(pixel) == 64


def test_weights_are_true_in_perspective():
    # from depth 1 at the left edge to depth 3 at the right corner
    corners = triangles(corner(0, 0, 1.0), corner(0, 8, 1.0), corner(8, 4, 3.0))
    share = 3.5 / 8  # of the way, at the middle of pixel column 3
    expected = (share / 3) / (share / 3 + (1 - share))
    weights = corner_weights(corners[0], np.array([3.0]), np.array([4.0]))
    assert weights[0, 2] == pytest.approx(expected, rel=1e-9)
    assert weights.sum() == pytest.approx(1)
    pixel, _, nearness = rasterise(corners, 8, 8)
    at = {(int(p) % 8, int(p) // 8): q for p, q in zip(pixel, nearness, strict=True)}
    assert at[(3, 4)] == pytest.approx(1 - share + share / 3)


@pytest.fixture(scope="module")
def stage():
    signer = make_signer(0)
    motion = perform(signer, ("HELLO",), 0)
    return signer, build_surface(signer), motion, make_scene(1, signer)


def picture(stage, frames, size=SIZE, array=np.asarray, lids=None):
    signer, surface, motion, scene = stage
    take = lambda values: array(np.ascontiguousarray(values[frames], np.float32))  # noqa: E731
    pose = pose_signer(signer, take(motion.body), take(motion.right), take(motion.left))
    eyes = take(motion.lids) if lids is None else take(motion.lids) * 0 + lids
    face = Expression(eyes, take(motion.mouth), take(motion.brows))
    return render(surface, pose, face, scene, array(backdrop(scene, size).astype(np.float32)), size)


def test_numpy_and_torch_give_the_same_image(stage):
    frames = [2, 15, 22]
    numpy, other = picture(stage, frames), picture(stage, frames, array=torch.from_numpy)
    assert isinstance(other, torch.Tensor)
    difference = np.abs(numpy - other.numpy())
    assert difference.mean() < 1e-4
    assert (difference > 2 / 255).mean() < 1e-3


def test_a_batch_gives_the_images_of_its_frames(stage):
    batch = picture(stage, [3, 18])
    assert np.abs(batch[1] - picture(stage, [18])[0]).max() < 1e-5


def test_the_same_frame_is_rendered_alike_twice(stage):
    np.testing.assert_allclose(picture(stage, [9]), picture(stage, [9]), atol=1e-4)


def test_the_signer_is_where_the_joints_project_to(stage):
    signer, _, motion, scene = stage
    frame = len(motion) // 2
    with_signer = picture(stage, [frame], 192)[0]
    wall = backdrop(scene, 192).reshape(192, SUPERSAMPLE, 192, SUPERSAMPLE, 3).mean((1, 3)) ** (1 / 2.2)
    silhouette = np.abs(with_signer - wall).max(-1) > 0.02
    body = (motion.body[[frame]], motion.right[[frame]], motion.left[[frame]])
    joints = pose_signer(signer, *body).joints[0, :61]
    pixels = project(scene, joints @ scene.view.T, 192).astype(int)
    seen = [silhouette[y, x] for x, y in pixels if 0 <= x < 192 and 0 <= y < 192]
    assert np.mean(seen) > 0.95
    assert 0.15 < silhouette.mean() < 0.6
    assert not silhouette[:, :8].any()


def test_the_hand_has_the_signers_skin(stage):
    signer, _, motion, scene = stage
    frame = len(motion) // 2
    image = picture(stage, [frame], 192)[0]
    body = (motion.body[[frame]], motion.right[[frame]], motion.left[[frame]])
    joints = pose_signer(signer, *body).joints[0, :61]
    side = "left" if signer.left_handed else "right"
    palm = project(scene, joints[[HANDS[side].start + k for k in (5, 9, 0)]].mean(0) @ scene.view.T, 192).astype(int)
    red, green, blue = image[palm[1], palm[0]]
    assert red > green > blue


def test_closing_the_eyes_changes_the_eyes_only(stage):
    signer, _, motion, scene = stage
    difference = np.abs(picture(stage, [0], 192, lids=1.0) - picture(stage, [0], 192, lids=0.0))[0].max(-1)
    rows, columns = np.nonzero(difference > 0.03)
    body = (motion.body[[0]], motion.right[[0]], motion.left[[0]])
    eyes = project(scene, pose_signer(signer, *body).joints[0, [10, 13]] @ scene.view.T, 192)
    distance = np.linalg.norm(np.stack([columns, rows], -1)[:, None] + 0.5 - eyes[None], axis=-1).min(1)
    assert len(rows) > 4
    assert distance.max() < 0.035 * scene.focal / scene.neck[2] * 192
