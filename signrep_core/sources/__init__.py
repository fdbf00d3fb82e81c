"""Sheets of videos from folders and from data sets' own metadata, and the overlap audit."""
