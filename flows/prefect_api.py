"""The few questions that the command line asks Prefect's API without importing Prefect, which takes seconds."""

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from model.errors import RunError
from tasks.catalog.urls import without_secrets

TIMEOUT_S = 30.0
BUSY, ATTEMPTS = 503, 6  # its database was taken just then; Prefect's own client asks again too


def ask(
    api_url: str, path: str, body: dict[str, Any] | list[dict[str, Any]] | None = None, method: str | None = None
) -> Any:
    """GET, or POST with a body, or `method`; the answer's JSON. Logs in with PREFECT_API_AUTH_STRING if it is set.

    Raises:
        RunError: no answer, or a refusal.
    """
    headers = {"Content-Type": "application/json", **login()}
    data = None if body is None else json.dumps(body).encode()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            request = urllib.request.Request(f"{api_url}{path}", data, headers, method=method)  # noqa: S310
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
                return json.loads(response.read() or b"null")
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            busy = False
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is the answer, and holds the connection
                busy = error.code == BUSY
            if not busy or attempt == ATTEMPTS:
                # What http.client says of an address that is none, it says with a piece of it.
                why = "no address" if isinstance(error, http.client.InvalidURL) else error
                raise RunError(f"Prefect's server did not answer {without_secrets(api_url + path)}: {why}") from None
        time.sleep(attempt)
    raise AssertionError("unreachable")


def named_api() -> str:
    """The API that PREFECT_API_URL names; empty if it names none.

    urllib takes no user from an address: one that stands there goes where Prefect's own client looks, too.
    """
    url = os.environ.get("PREFECT_API_URL", "")
    with suppress(ValueError):  # it is no address, as who asks it will say
        parts = urlsplit(url)
        user, _, host = parts.netloc.rpartition("@")
        if user:
            url = os.environ["PREFECT_API_URL"] = urlunsplit(parts._replace(netloc=host))
            os.environ["PREFECT_API_AUTH_STRING"] = unquote(user)
    return url


def login() -> dict[str, str]:
    """The header that logs in with PREFECT_API_AUTH_STRING; none if it is not set."""
    auth = os.environ.get("PREFECT_API_AUTH_STRING")
    return {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"} if auth else {}


def crash(api_url: str, flow_run_id: str, message: str) -> None:
    """Tell Prefect that the process of a run is gone; then Retry is offered.

    Raises:
        RunError: no answer, or a refusal.
    """
    state = {"type": "CRASHED", "name": "Crashed", "message": message}
    ask(api_url, f"/flow_runs/{flow_run_id}/set_state", {"state": state, "force": True})
