"""Browse a corpus: a local web page that lists and filters its videos and plays each with joints and plots."""
