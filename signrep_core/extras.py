"""Optional packages: an error that names the extra to install where one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from signrep_core.errors import SignRepError

# Package, as imported -> extra of pyproject.toml that brings it.
EXTRA_OF: Final = {
    "flask": "report",
    "jinja2": "report",
    "markupsafe": "report",
    "matplotlib": "report",
    "mediapipe": "pose",
    "openvino": "pose",
    "PIL": "report",
    "peft": "translation",
    "pose_format": "interop",
    "snakemake": "workflow",
    "tflite": "pose",
    "transformers": "translation",
    "webdataset": "interop",
    "werkzeug": "report",
}


@contextmanager
def optional_packages() -> Iterator[None]:
    """Turn the import error of a missing optional package into an error that says how to install it.

    Raises:
        SignRepError: a package of EXTRA_OF is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRA_OF:
            raise
        raise missing_package(package) from error


def import_optional(name: str) -> Any:
    """Import a module of an optional package when it is needed.

    Raises:
        SignRepError: its package is not installed.
    """
    with optional_packages():
        return import_module(name)


def missing_package(package: str) -> SignRepError:
    """The error for a package of EXTRA_OF that is not installed."""
    extra = EXTRA_OF[package]
    return SignRepError(f"{package} is not installed; it needs the extra [{extra}]: pip install 'signrep[{extra}]'")
