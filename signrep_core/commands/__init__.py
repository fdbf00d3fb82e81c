"""One module per command of `python -m signrep_core`: `add(commands)` says what it takes, `run(options)` does it."""
