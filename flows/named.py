"""Whether what settings name is here, asked before hours go into the pictures and not only when it is needed."""

from pathlib import Path

from flows.settings import Settings
from model.device import check_device, check_training_device
from model.directory import check_model
from model.encoder import check_encoder
from model.errors import UserError
from model.training import check_freezing
from tasks.evaluate import read_writers
from tasks.tracking.registry import CHAMPION


def check_to_train(settings: Settings) -> None:
    """Check what a training and its scores will need.

    Raises:
        UserError: a network, a device, a file or a model directory is not there, or two settings do not fit.
    """
    check_encoder(settings.encoder)
    check_freezing(settings.train, settings.encoder)
    train = settings.train
    check_training_device(train.device, precision=train.precision, processes=train.processes)
    if train.warm_start not in {"", CHAMPION}:
        try:
            check_model(Path(train.warm_start))
        except UserError as error:
            raise UserError(f"train.warm_start: {error}") from None
    check_to_score(settings)


def check_to_score(settings: Settings) -> None:
    """Check what scoring a model will need.

    Raises:
        UserError: a device or a file is not there.
    """
    check_device(settings.train.device)
    read_writers(settings.score.writers)
