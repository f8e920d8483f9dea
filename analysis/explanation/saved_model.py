"""The networks that a search saved of its winner, ready to be looked at, with the images that they learned from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from analysis.errors import Missing
from analysis.record import Record
from contract.formatting import first_line
from contract.record import FINGERPRINT
from trainables import module_folder, named_dataset, named_model, own_code, pretrained
from trainables.config import ConfigError, TrainConfig
from trainables.errors import ModelError
from trainables.image_data import DataError, ImageData
from trainables.loader import Loader, normalization, prepared
from trainables.split import Split, split


@dataclass(frozen=True)
class SavedModel:
    """One trained network, in evaluation mode."""

    seed: int
    """The seed that it was trained with."""
    config: TrainConfig
    """Its hyperparameters."""
    network: nn.Module
    """The network, with the saved weights."""
    data: Split
    """The images that it was trained, validated and tested on."""

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""
        return next(self.network.parameters()).device

    @property
    def loader(self) -> Loader:
        """The batches of the images that it was trained, validated and tested on."""
        return Loader(self.data, self.config, self.device)

    def inputs(self, images: np.ndarray) -> torch.Tensor:
        """Resize and normalise images for the network: uint8 [B, H, W, C] to float32 [B, C, H', W']."""
        offset, scale = (torch.tensor(v, device=self.device) for v in normalization(self.data.data, self.config))
        return prepared(torch.from_numpy(images).to(self.device), offset, scale, self.config.resize)


def load(record: Record, weights: Mapping[int, Path]) -> list[SavedModel]:
    """Load the models of these files, one for each seed, to the GPU where there is one.

    Raises:
        Missing: weights or images are gone, damaged, or do not belong together.
    """
    data = load_data(record)
    return [_model(record, data, seed, file) for seed, file in weights.items()]


def load_data(record: Record) -> ImageData:
    """Load the data set that the search used, from where it was then or from `record.data_dir`.

    Raises:
        Missing: it is not there, or holds other images.
    """
    source = record.description["data"]
    root = record.data_dir or Path(source["root"])
    moved = "If they have moved, name their folder with --data-dir."
    try:
        data = named_dataset.load(_no_code(source["name"]), root, dict(source["options"]))
    except (DataError, module_folder.UnknownName, OSError) as error:
        raise Missing(f"The images cannot be loaded: {error}. {moved}") from error
    if data.fingerprint != record.parent.data.tags.get(FINGERPRINT):
        raise Missing(f"The images of {source['name']} in {root} are other ones than the model was trained on. {moved}")
    return data


def _no_code(name: str) -> str:
    """Refuse the name of code outside of this project: anybody who writes to MLflow can set it in the record.

    Returns:
        The name of a model or a data set of this project.

    Raises:
        Missing: it is code of the search's own, which a report does not run.
    """
    if own_code.is_dotted(name):
        raise Missing(f"{name} is code of the search's own, which a report does not run: this cannot be shown.")
    return name


def _model(record: Record, data: ImageData, seed: int, file: Path) -> SavedModel:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        params = torch.load(file, map_location="cpu", weights_only=True)["params"]
        state = pretrained.read_weights(str(file))
    except Exception as error:  # a damaged file can raise nearly anything
        raise Missing(f"The saved weights of seed {seed} are damaged: {first_line(error)}.") from error
    try:
        config = TrainConfig.from_params(params)
        _no_code(config.model)
        built = _build(config, data)
        built.load_state_dict(state)
    except (ConfigError, ModelError, module_folder.UnknownName, RuntimeError) as error:
        raise Missing(
            f"The saved weights of seed {seed} do not fit {params.get('model')} as it is built now: {first_line(error)}"
        ) from error
    source = record.description["data"]
    parts = split(
        data, validation=source["validation"], train_fraction=config.train_fraction, seed=source["split_seed"]
    )
    return SavedModel(seed, config, built.to(device).to(memory_format=torch.channels_last).eval(), parts)


def _build(config: TrainConfig, data: ImageData) -> nn.Module:
    """Build the network without the weights that its training began from: they may be gone, or far away."""
    channels, height, width = data.input_shape
    shape = (channels, config.resize or height, config.resize or width)
    pretrained_weights = config.model_options.get("weights")
    options = {key: value for key, value in config.model_options.items() if key not in ("weights", "frozen")}
    built = named_model.build(config.model, shape, len(data.classes), options)
    if hasattr(built, "transform_input"):  # torchvision's weights want it
        built.transform_input = pretrained_weights == pretrained.IMAGENET  # type: ignore[assignment]
    return built
