"""The errors that a person sees as one line.

    Exception
    ├── UserError         a mistake that the user can mend        exit code 2
    │   └── SettingError  … in a setting: `model.configuration` raises it
    └── RunError          the run failed for a reason outside us  exit code 1

Anything else that reaches the top is a defect of ours and keeps its traceback.
"""


class UserError(Exception):
    """Wrong use or bad input. The message is one line: what, where, what to do."""


class SettingError(UserError, ValueError):
    """A setting out of its bounds. A ValueError too: Pydantic, which builds the settings, passes on nothing else."""


class RunError(Exception):
    """The run could not be finished: an outage, a full disk. The message is one line: what, where, what to do."""


def first_line(error: Exception) -> str:
    """What another library's exception says, as a part of such a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
