"""Videos to the sheet: folders, data sets' own metadata, the overlap audit."""
