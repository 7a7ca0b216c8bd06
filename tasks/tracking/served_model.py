"""The model as MLflow serves it: base64 pictures in, descriptions out. Logged as code, with model/ beside it.

This file is copied into the logged model and run there: it may import model/ and mlflow, nothing else of the project.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

MAX_PICTURE_BYTES = 50_000_000
BATCH_SIZE = 16


class Served(PythonModel):
    """Describes pictures. Parameters: `beam_size`, `max_words`; 0 takes what the model was made with."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights once."""
        from model.describer import Describer
        from model.settings import SearchConfig

        self.describer = Describer.load(Path(context.artifacts["model"]))
        self.default = SearchConfig(**self.describer.config.get("search", {}))

    def predict(
        self, context: PythonModelContext, model_input: list[str], params: dict[str, Any] | None = None
    ) -> list[str]:
        """One description a picture.

        Args:
            context: of MLflow.
            model_input: pictures (JPEG, PNG, WebP …), base64.
            params: beam_size and max_words.

        Raises:
            MlflowException: something is not a picture; the server answers 400 and says which.
        """
        del context
        search = self._search(params or {})
        pictures = [self._picture(place, text) for place, text in enumerate(_texts(model_input))]
        texts: list[str] = []
        for start in range(0, len(pictures), BATCH_SIZE):
            batch = np.stack(pictures[start : start + BATCH_SIZE])  # (B, 3, S, S)
            texts += [description.text for description in self.describer.describe(batch, search)]
        return texts

    def _search(self, params: dict[str, Any]) -> Any:
        from dataclasses import replace

        given: dict[str, Any] = {name: int(params[name]) for name in ("beam_size", "max_words") if params.get(name)}
        try:
            return replace(self.default, **given)
        except ValueError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _picture(self, place: int, text: Any) -> Any:
        from model.picture import PictureError, decode

        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise MlflowException.invalid_parameter_value(f"input {place} is not base64: {error}") from error
        if len(data) > MAX_PICTURE_BYTES:
            raise MlflowException.invalid_parameter_value(
                f"input {place} has {len(data):,} bytes; at most {MAX_PICTURE_BYTES:,} are taken"
            )
        try:
            return decode(data, self.describer.image)
        except PictureError as error:
            raise MlflowException.invalid_parameter_value(f"input {place} is not a picture: {error}") from error


def _texts(model_input: Any) -> list[Any]:
    """MLflow hands over a list, an array or a one-column frame, depending on how it was asked."""
    if hasattr(model_input, "iloc"):
        model_input = model_input.iloc[:, 0].tolist() if model_input.ndim == 2 else model_input.tolist()
    return [str(text) for text in model_input]


set_model(Served())
