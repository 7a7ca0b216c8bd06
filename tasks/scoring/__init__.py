"""How good the descriptions are, honestly: the score report, its baselines and its intervals. No MLflow here."""

from tasks.scoring.config import ScoreConfig
from tasks.scoring.report import Conditions, ScoreReport, score

__all__ = ["Conditions", "ScoreConfig", "ScoreReport", "score"]
