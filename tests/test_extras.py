"""Optional packages: the error names the extra to install."""

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest

from signrep_core.__main__ import main
from signrep_core.errors import SignRepError
from signrep_core.extras import EXTRA_OF, optional_packages

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("package", sorted(EXTRA_OF))
def test_a_missing_optional_package_names_its_extra(package, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"{package} .* pip install 'signrep\[{EXTRA_OF[package]}\]'"
    with pytest.raises(SignRepError, match=message), optional_packages():
        importlib.import_module(package)


def test_a_missing_module_of_no_extra_stays_an_import_error():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), optional_packages():
        importlib.import_module("no_such_package")


def test_a_command_without_its_extra_is_one_message_and_status_2(monkeypatch, capsys, tmp_path):
    for name in [name for name in sys.modules if name.startswith(("signrep_core.inspect.figures", "matplotlib"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["figures", "skeleton", "--out", str(tmp_path / "skeleton.png")]) == 2
    assert "signrep: matplotlib is not installed; it needs the extra [report]" in capsys.readouterr().err


def test_every_named_extra_is_one_of_the_project():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRA_OF.values()) <= set(extras)
    names = {extra: {re.match(r"[\w-]+", one)[0] for one in needs} for extra, needs in extras.items()}
    distribution = {"PIL": "pillow", "pose_format": "pose-format", "markupsafe": "jinja2", "werkzeug": "flask"}
    for package, extra in EXTRA_OF.items():  # MarkupSafe and Werkzeug come with Jinja2 and Flask
        assert distribution.get(package, package) in names[extra]
