"""SignRep: self-supervised sign-language video representations, from raw video to numbers."""

__version__ = "0.1.0"
