"""Checking a results folder: every byte against its record, every table against the others."""
