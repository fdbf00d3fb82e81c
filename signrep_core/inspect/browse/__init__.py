"""The corpus in a browser, on this machine alone: its videos listed and filtered, each played with what was found."""
