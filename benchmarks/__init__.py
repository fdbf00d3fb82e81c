"""Speed and memory figures, printed by `make bench`; one module per subject with `rows() -> [(what, figure)]`."""
