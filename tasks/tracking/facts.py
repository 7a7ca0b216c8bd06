"""What a run's tags say of where it ran: the code, the versions, the device."""

import getpass
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("torch", "torchvision", "prefect", "mlflow", "numpy", "h5py")


def environment_tags() -> dict[str, str]:
    """Git commit and whether files differ from it, Prefect's run, versions, device."""
    source = {"mlflow.user": _user(), "mlflow.source.name": "ec-descr-gen", "mlflow.source.type": "LOCAL"}
    return source | git_tags(Path(__file__).parent) | prefect_tags() | version_tags() | {"device": device_name()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return str(os.getuid())


def git_tags(folder: Path) -> dict[str, str]:
    """mlflow.source.git.commit, git.dirty; nothing where the code stands in no repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"mlflow.source.git.commit": commit, "git.commit": commit, "git.dirty": str(bool(changed)).lower()}


def _git(folder: Path, *arguments: str) -> str:
    try:
        found = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def prefect_tags() -> dict[str, str]:
    """Id, name and, if it has a page, address of the Prefect flow run around us, as Prefect itself has loaded them."""
    import sys

    if "prefect" not in sys.modules:
        return {}
    from prefect.runtime import flow_run

    if not flow_run.id:
        return {}
    tags = {"prefect.flow_run_id": str(flow_run.id), "prefect.flow_run_name": str(flow_run.name)}
    if flow_run.ui_url and os.environ.get("PREFECT_UI_ENABLED") != "0":  # a command's own server has no pages
        tags["prefect.url"] = str(flow_run.ui_url)
    return tags


def version_tags() -> dict[str, str]:
    """Versions of Python and of what the numbers depend on."""
    return {"version.python": platform.python_version()} | {
        f"version.{name}": importlib.metadata.version(name) for name in PACKAGES
    }


def device_name() -> str:
    """The GPU's name, else the processor count."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(0)} × {torch.cuda.device_count()}"
    return f"CPU, {os.cpu_count()} cores"
