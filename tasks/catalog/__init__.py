"""The catalogue: reading, de-duplication, splits, samples, report. Engines only."""
