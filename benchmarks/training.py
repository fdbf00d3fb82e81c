"""How fast training is: the tiny preset's whole step, and the paper's encoder beside plain timm."""

import time
from collections.abc import Callable

import torch
from timm.models.hiera import Hiera
from torch import Tensor

from signrep_core.data.augment import augment, draw_augmentations
from signrep_core.model.encoder import Encoder, random_units
from signrep_core.model.signrep import PRESETS, SignRep

WINDOWS = 20  # of a batch


def rows() -> list[tuple[str, str]]:
    """What was measured and the figure with its unit."""
    device = "GPU" if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    torch.manual_seed(0)
    return [*_tiny(device), *_encoder(device)]


def _tiny(device: str) -> list[tuple[str, str]]:
    model = SignRep(PRESETS["tiny"])
    size = PRESETS["tiny"].encoder.image_size
    frames = torch.randint(0, 256, (WINDOWS, 16, 256, 256, 3), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(WINDOWS, 3, 16, size, size)
    visible = random_units(WINDOWS, model.encoder.n_units, 0.8, generator)

    def step() -> None:
        output = model(video, visible)
        torch.stack([prior.abs().mean() for prior in output.priors.values()]).sum().backward()

    augmenting = _seconds(lambda: augment(frames, draw_augmentations(WINDOWS, generator), size))
    stepping = _seconds(step)
    return [
        (f"tiny: augmentation ({device})", f"{WINDOWS / augmenting:.0f} clips/s"),
        (f"tiny: forward and backward at 80 % masking ({device})", f"{WINDOWS / stepping:.0f} clips/s"),
        (f"tiny: both ({device})", f"{WINDOWS / (augmenting + stepping):.0f} clips/s"),
    ]


def _encoder(device: str) -> list[tuple[str, str]]:
    """The paper's encoder in fp32, one window on a CPU and a batch on a GPU, against timm on the same weights."""
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n = WINDOWS if place.type == "cuda" else 1
    encoder = Encoder(PRESETS["base"].encoder).to(place).eval()
    video = torch.randn(n, 3, 16, 224, 224, device=place)
    visible = random_units(n, encoder.n_units, 0.8).to(place)
    mask = torch.zeros(n, encoder.n_units, dtype=torch.bool, device=place).scatter(1, visible, True)
    table = []
    for name, ours, theirs in (
        ("forward at 80 % masking", lambda: encoder(video, visible).tokens,
         lambda: Hiera.forward_features(encoder, video, mask=mask)),
        ("forward without mask", lambda: encoder(video).tokens, lambda: Hiera.forward_features(encoder, video)),
    ):  # fmt: skip
        with torch.no_grad():
            own, plain = _seconds(ours), _seconds(theirs)
        table.append((f"base: {name} ({device})", f"{n / own:.2f} clips/s, {plain / own:.2f}x plain timm"))
    own = _seconds(lambda: encoder(video, visible).tokens.mean().backward())
    plain = _seconds(lambda: Hiera.forward_features(encoder, video, mask=mask).mean().backward())
    what = f"base: forward and backward at 80 % masking ({device})"
    return [*table, (what, f"{n / own:.2f} clips/s, {plain / own:.2f}x plain timm")]


def _seconds(work: Callable[[], Tensor | None], repeats: int = 3) -> float:
    """The fastest of some repeats, after a first one that does not count."""
    times = []
    for _ in range(repeats + 1):
        _synchronise()
        begun = time.perf_counter()
        work()
        _synchronise()
        times.append(time.perf_counter() - begun)
    return min(times[1:])


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
