"""SignRep: self-supervised sign-language video representations, from raw video to numbers."""

from importlib.metadata import version

__version__ = version("signrep")
