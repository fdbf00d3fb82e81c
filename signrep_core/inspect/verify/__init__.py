"""Verify a results folder: each file against its record, each table against the others."""
