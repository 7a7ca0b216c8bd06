"""The environment variables that count, for `config show` and `config explain`.

Secrets come from these alone, or from Prefect's blocks: no setting holds one.
"""

import os

from flows.settings import Explanation
from tasks.tracking.config import shown_uri

VARIABLES: dict[str, str] = {
    "PREFECT_API_URL": "Prefect's server to report to, unless `up` runs; empty: one of its own for each command",
    "PREFECT_API_AUTH_STRING": "user:password of that server; `up --auth` keeps its own",
    "MLFLOW_TRACKING_URI": "MLflow's server or database, unless tracking.uri is set",
    "MLFLOW_TRACKING_USERNAME": "who logs in to MLflow's server",
    "MLFLOW_TRACKING_PASSWORD": "that user's password",
    "HF_HUB_OFFLINE": "1: BERTScore's language model is taken from the local cache alone",
    "EC_DESCR_GEN_WORKDIR": "the working directory that `prefect deploy` writes into the deployments; `up` sets it",
    "EC_DESCR_GEN_TIMEZONE": "the time zone of the deployments' schedules; `up --timezone` sets it",
}
SECRETS = {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"}


def variables() -> list[Explanation]:
    """Every variable with its value now; of a secret, only whether it is set."""
    found = []
    for name, description in VARIABLES.items():
        value = os.environ.get(name, "")
        shown = ("(set)" if value else "") if name in SECRETS else shown_uri(value)
        found.append(Explanation(key=name, value=shown, default="", unit="", description=description))
    return found
