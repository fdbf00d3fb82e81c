"""Measurements of an installed core: `signrep bench`."""
