"""What a person looks at or asks about a run: report, browser, overlay, figures, status, forecast, explain, verify."""
