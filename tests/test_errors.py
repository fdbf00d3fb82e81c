"""The error tree and the reason codes."""

import copy
import inspect
import pickle
import re
from pathlib import Path

import pytest

from signrep_core import errors
from signrep_core.errors import REASONS, SignRepError, VideoError

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_code_is_a_word_with_an_explanation(reason):
    assert re.fullmatch("[a-z]+(_[a-z]+)*", reason)
    assert len(REASONS[reason].split()) >= 3


def test_no_two_reason_codes_have_the_same_explanation():
    assert len(set(REASONS.values())) == len(REASONS)


def test_every_reason_code_that_the_code_raises_is_known():
    package = Path(errors.__file__).parent
    sources = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    raised = set(re.findall(r"VideoError\(\s*[\"'](\w+)[\"']", sources))
    assert "no_duration" in raised  # the pattern finds what it looks for
    assert raised <= set(REASONS)


def test_every_error_is_a_signrep_error_and_stands_in_the_drawn_tree():
    drawn = re.findall(r"(?:├── |└── )(\w+)", errors.__doc__)
    assert sorted(drawn) == sorted(kind.__name__ for kind in TREE if kind is not SignRepError)
    assert all(issubclass(kind, SignRepError) and kind.__doc__ for kind in TREE)


def test_a_video_error_says_reason_and_detail():
    error = VideoError("no_signer", "a.mp4: 0 of 40 frames")
    assert (error.reason, error.detail) == ("no_signer", "a.mp4: 0 of 40 frames")
    assert str(error) == "no_signer: a.mp4: 0 of 40 frames"


@pytest.mark.parametrize("passed", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_a_video_error_crosses_processes(passed):
    error = passed(VideoError("undecodable", "ü.mp4: no frame"))
    assert type(error) is VideoError
    assert (error.reason, error.detail, str(error)) == (
        "undecodable",
        "ü.mp4: no frame",
        "undecodable: ü.mp4: no frame",
    )


def test_an_unknown_reason_code_is_refused():
    with pytest.raises(ValueError, match=r"unknown reason code 'bored'; add it to signrep_core\.errors\.REASONS"):
        VideoError("bored", "a.mp4")
