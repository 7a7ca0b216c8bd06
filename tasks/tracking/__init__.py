"""Everything that touches MLflow. The rest of the project hands it names, numbers and files.

A run writes each thing first into a journal in its own folder, then sends it to MLflow. An outage of the tracking
server costs nothing but the sending: `python -m tasks.tracking.upload RUN_FOLDER` sends what is left.
"""

from tasks.tracking.config import TrackingConfig
from tasks.tracking.run import TrackedRun, registry_of, start_run

__all__ = ["TrackedRun", "TrackingConfig", "registry_of", "start_run"]
