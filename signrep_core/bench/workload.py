"""Sizes of the benchmark of a GPU: the paper's model, or a tiny one that a CPU runs in seconds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from signrep_core.config import Preset
from signrep_core.model.signrep import PRESETS, SignRepConfig

Kind = Literal["cuda", "cpu"]

MEASURE_S: Final = 20.0  # seconds after which a measurement is repeated no more


@dataclass(frozen=True)
class Workload:
    """Model, batch and repetitions of the measurements, and the device that they run on."""

    out: Path  # folder for runs and files
    shards: Path  # folder of packed shards
    device: Kind = "cuda"
    preset: Preset = "base"
    windows: int = 20  # of a step (A3)
    repeats: int = 20  # timed calls of a measurement at most
    compared_steps: int = 20  # of each execution that is compared with eager steps
    training_steps: int = 300  # of the run end to end
    inference_windows: int = 64  # of a forward pass
    workers: int = 8  # loader processes
    sentences: int = 64  # translated together

    def sizes(self) -> dict[str, str | int]:
        """All fields but the folders, to be noted beside figures."""
        return {name: value for name, value in vars(self).items() if not isinstance(value, Path)}

    @property
    def config(self) -> SignRepConfig:
        """Sizes of the model without its random depth, which differs from device to device."""
        config = PRESETS[self.preset]
        return replace(config, encoder=replace(config.encoder, drop_path=0.0))


def tiny(out: Path, shards: Path, device: Kind) -> Workload:
    """Sizes for tests of the benchmark itself."""
    return Workload(
        out, shards, device, preset="tiny", windows=4, repeats=2, compared_steps=3, training_steps=8,
        inference_windows=4, workers=1, sentences=4,
    )  # fmt: skip
