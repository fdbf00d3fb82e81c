"""Inspection of runs and machines: report, browser, overlay, figures, status, forecast, explain, verify, doctor."""
