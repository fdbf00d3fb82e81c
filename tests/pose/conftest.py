"""Networks and MediaPipe, opened once for all tests here."""

import pytest

from signrep_core.pose.backend import HolisticSolution
from signrep_core.pose.networks import Networks, open_networks
from signrep_core.pose.people import FaceDetector, open_face_detector


@pytest.fixture(scope="session")
def holistic() -> HolisticSolution:
    return HolisticSolution()


@pytest.fixture(scope="session")
def find_faces() -> FaceDetector:
    return open_face_detector()


@pytest.fixture(scope="session")
def networks() -> Networks:
    return open_networks()
