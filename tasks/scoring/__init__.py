"""How good the descriptions are, honestly: the score report, its baselines and its intervals. No MLflow here."""
