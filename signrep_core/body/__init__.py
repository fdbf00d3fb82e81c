"""Pure functions on arrays: kinematics and sign priors (no files, no torch needed)."""
