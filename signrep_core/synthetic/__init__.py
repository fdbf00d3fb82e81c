"""The procedural signer: ground truth for demo, tests and benchmarks."""
