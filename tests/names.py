"""Names in the documentation, looked up in the code, in the configuration and in the tests."""

import ast
import functools
import importlib
from pathlib import Path
from types import ModuleType

from signrep_core.config import Config, flatten

ROOT = Path(__file__).parents[1]
CORE = ROOT / "signrep_core"
ROOMS = sorted(path.name for path in CORE.iterdir() if (path / "__init__.py").exists())
MODULES = sorted(path.name for path in CORE.glob("*.py") if not path.name.startswith("_"))
KEYS = flatten(Config())


def find(name: str) -> object:
    """The module, class, method or constant that a dotted name below signrep_core stands for."""
    found: object = importlib.import_module("signrep_core")
    for part in name.split("."):
        if isinstance(found, ModuleType) and not hasattr(found, part):
            # Not as an attribute: a test that loads a package anew leaves it without its modules.
            found = importlib.import_module(f"{found.__name__}.{part}")
        else:
            found = getattr(found, part)
    return found


def find_key_or_name(name: str) -> object:
    """The value of a key of the configuration, or what `find` gives."""
    return KEYS[name][0] if name in KEYS else find(name)


@functools.cache
def defined_tests(path: str) -> set[str]:
    """Names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
