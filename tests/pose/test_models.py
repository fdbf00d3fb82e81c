"""Files of the networks: the wheel's are checked, those of a `.task` file unpacked."""

import zipfile
from pathlib import Path

import pytest

from signrep_core.errors import SignRepError
from signrep_core.pose import models
from signrep_core.pose.models import NETWORKS, WHEEL, find_models


def test_the_installed_wheel_has_the_known_networks(tmp_path: Path) -> None:
    files = find_models(WHEEL, tmp_path)
    assert set(files) == set(NETWORKS)
    assert not list(tmp_path.iterdir()), "nothing is copied"


@pytest.mark.parametrize(("content", "found"), [(b"another", "found another one"), (None, "found no file")])
def test_a_wheel_with_other_networks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, found: str
) -> None:
    file = tmp_path / "modules" / NETWORKS["pose"].file
    file.parent.mkdir(parents=True)
    if content:
        file.write_bytes(content)
    monkeypatch.setattr(models, "wheel_folder", lambda: tmp_path)
    with pytest.raises(SignRepError, match=rf"expected the network of mediapipe 0\.10\.21, {found} .* install"):
        find_models(WHEEL, tmp_path)


def test_a_task_file_gives_its_networks_and_the_wheel_the_face_detector(tmp_path: Path) -> None:
    task = tmp_path / "holistic.task"
    with zipfile.ZipFile(task, "w") as archive:
        for network in NETWORKS.values():
            if network.task_file:
                archive.writestr(network.task_file, network.file)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    files = find_models(str(task), unpacked)
    assert files["hand"].read_text() == NETWORKS["hand"].file
    assert files["face"].name == "face_detection_full_range_sparse.tflite"
    assert set(files) == set(NETWORKS)


def test_a_missing_or_wrong_task_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SignRepError, match=r"pose\.model: no file at .*none\.task; give `mediapipe`, or"):
        find_models(str(tmp_path / "none.task"), tmp_path)
    wrong = tmp_path / "wrong.task"
    wrong.write_text("not a model")
    with pytest.raises(SignRepError, match=r"wrong\.task is not a holistic landmarker model .*give `mediapipe`"):
        find_models(str(wrong), tmp_path)
    with zipfile.ZipFile(wrong, "w") as archive:
        archive.writestr("readme.txt", "no networks")
    with pytest.raises(SignRepError, match=r"wrong\.task is not a holistic landmarker model .*pose_landmarks_detector"):
        find_models(str(wrong), tmp_path)
