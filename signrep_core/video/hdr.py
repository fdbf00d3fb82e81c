"""Convert HDR pictures (HLG, PQ) to SDR as players show it: BT.709 with SDR white at HDR reference white, 203 cd/m².

Electro-optical transfer functions of BT.2100, reference white of BT.2408, gamma 2.4 of BT.1886 for the result. Up to
KNEE of reference white the picture is unchanged, so skin keeps its colour; from there the Möbius curve, as FFmpeg's
`tonemap` has it, compresses what is brighter, to 1000 cd/m².
"""

import functools
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TRANSFERS: Final = {16: "PQ", 18: "HLG"}  # by FFmpeg's number of the transfer characteristic
WHITE: Final = 203.0  # cd/m² of HDR reference white
PEAK: Final = 1000.0  # cd/m² of the brightest picture: HLG's nominal screen; most PQ material stays below
KNEE: Final = 0.7  # of reference white
HLG_GAMMA: Final = 1.2  # of HLG's screen of 1000 cd/m²
SDR_GAMMA: Final = 2.4
LUMINANCE: Final = np.array([[0.2627, 0.6780, 0.0593]], np.float32)  # of BT.2020's primaries
TO_BT709: Final = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)  # linear BT.2020 to linear BT.709 (BT.2087)
BITS: Final = 12  # of a signal that is looked up
ROWS: Final = 16  # converted at a time: they fit into the processor's cache


def tone_map(rgb: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """Convert a picture with BT.2020 primaries, (H, W, 3) uint16 full range, to BT.709, (H, W, 3) uint8.

    Args:
        transfer: a key of TRANSFERS.
    """
    result = np.empty(rgb.shape, np.uint8)
    for row in range(0, len(rgb), ROWS):
        result[row : row + ROWS] = _tone_map(rgb[row : row + ROWS], TRANSFERS[transfer])
    return result


def _tone_map(rgb: NDArray[np.uint16], transfer: str) -> NDArray[np.uint8]:
    light: Any = _to_light(transfer).take(rgb >> (16 - BITS))
    if transfer == "HLG":  # from the scene's light to the screen's
        luminance = cv2.transform(light, LUMINANCE)
        light *= (cv2.pow(luminance, HLG_GAMMA - 1) * (PEAK / WHITE))[..., None]
    light = np.maximum(cv2.transform(light, TO_BT709), 0)
    brightest: Any = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
    if brightest.max() > KNEE:
        light *= (compress(brightest) / np.maximum(brightest, 1e-6))[..., None]
    return _from_root().take((np.sqrt(light) * ((1 << BITS) - 1) + 0.5).astype(np.uint16))


def compress(light: Floats) -> Floats:
    """Map light in reference whites to 0 to 1: unchanged up to KNEE, PEAK and more to 1."""
    peak = PEAK / WHITE
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    bright = np.clip(light, KNEE, peak)
    return np.where(light <= KNEE, light, (b + KNEE) ** 2 / (b - a) * (bright + a) / (bright + b))


@functools.cache
def _to_light(transfer: str) -> Floats:
    """Light of each signal: of PQ the screen's in reference whites, of HLG the scene's from 0 to 1."""
    signal = np.linspace(0, 1, 1 << BITS)
    if transfer == "HLG":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    return (10_000 / WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)).astype(np.float32)


@functools.cache
def _from_root() -> NDArray[np.uint8]:
    """SDR value of each square root of light: roots have small steps in the dark, as the eye has."""
    root = np.linspace(0, 1, 1 << BITS)
    return np.rint(255 * root ** (2 / SDR_GAMMA)).astype(np.uint8)
