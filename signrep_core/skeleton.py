"""The 61-joint sign skeleton: joints, index sets, angles and bone lengths, each fact once.

The skeleton is that of the estimator which the paper takes its angles from (supplement A1, citing Ivashechkin,
Mendez, Bowden 2023). Frame: metres, origin = neck (midway between the shoulders), +x = the signer's LEFT,
+y = DOWN, +z = away from the camera. "Left" is always the signer's left.
"""

from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

SKELETON_VERSION: Final = 2  # raise it when a joint, an angle or a bone changes its place or meaning

Side = Literal["right", "left"]
SIDES: Final[tuple[Side, Side]] = ("right", "left")  # the order of all arrays per hand

# ---------------------------------------------------------------- joints
BODY_JOINTS: Final = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "left_hip", "nose", "left_eye_inner", "left_eye", "left_eye_outer",
    "right_eye_inner", "right_eye", "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right",
)  # fmt: skip
HAND_JOINTS: Final = (
    "wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip",
    "index_mcp", "index_pip", "index_dip", "index_tip", "middle_mcp", "middle_pip", "middle_dip", "middle_tip",
    "ring_mcp", "ring_pip", "ring_dip", "ring_tip", "pinky_mcp", "pinky_pip", "pinky_dip", "pinky_tip",
)  # fmt: skip
JOINTS: Final = BODY_JOINTS + tuple(f"{side}_hand_{joint}" for side in SIDES for joint in HAND_JOINTS)
N_JOINTS: Final = len(JOINTS)  # 61
N_HAND_JOINTS: Final = len(HAND_JOINTS)  # 21
BODY: Final = slice(0, len(BODY_JOINTS))
HANDS: Final = MappingProxyType({"right": slice(19, 40), "left": slice(40, 61)})  # the hand's joints, its wrist first
ARMS: Final = MappingProxyType({"right": (0, 1, 2), "left": (3, 4, 5)})  # shoulder, elbow, body wrist
MIN_CONFIDENCE: Final = 0.5  # A8: a joint below it is missing and masked in every loss
FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")

NOSE: Final = BODY_JOINTS.index("nose")
SHOULDERS: Final = tuple(BODY_JOINTS.index(f"{side}_shoulder") for side in SIDES)  # right, left
HIPS: Final = tuple(BODY_JOINTS.index(f"{side}_hip") for side in SIDES)
EARS: Final = tuple(BODY_JOINTS.index(f"{side}_ear") for side in SIDES)
WRISTS: Final = tuple(BODY_JOINTS.index(f"{side}_wrist") for side in SIDES)  # of the body
HEAD: Final = slice(NOSE, len(BODY_JOINTS))  # nose, eyes, ears and mouth
HAND_WRIST: Final = HAND_JOINTS.index("wrist")  # among a hand's joints, as are the next two
KNUCKLES: Final = tuple(HAND_JOINTS.index(f"{finger}_mcp") for finger in FINGERS[1:])  # index to little finger
TIPS: Final = tuple(HAND_JOINTS.index(f"{finger}_tip") for finger in FINGERS)

# Pairs of joints that a drawing connects.
BODY_EDGES: Final = (
    (0, 3), (0, 1), (1, 2), (3, 4), (4, 5), (0, 6), (3, 7), (6, 7),
    (8, 9), (9, 10), (10, 11), (11, 15), (8, 12), (12, 13), (13, 14), (14, 16), (17, 18),
)  # fmt: skip
FINGER_EDGES: Final = tuple(  # among a hand's joints, from the wrist out along each finger
    (HAND_WRIST if k % 4 == 1 else k - 1, k) for k in range(1, N_HAND_JOINTS)
)
HAND_EDGES: Final = MappingProxyType(  # the fingers, and across the palm
    {
        side: tuple((hand.start + a, hand.start + b) for a, b in (*FINGER_EDGES, *pairwise(KNUCKLES)))
        for side, hand in HANDS.items()
    }
)

# MediaPipe Pose landmark of each body joint, in the order of BODY_JOINTS.
MEDIAPIPE_POSE: Final = (12, 14, 16, 11, 13, 15, 24, 23, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)

# ---------------------------------------------------------------- index sets of the supplement (exact)
FINGERTIPS: Final = MappingProxyType({"right": (23, 27, 31, 35, 39), "left": (44, 48, 52, 56, 60)})
FINGERTIP_DESTINATIONS: Final = MappingProxyType(
    {
        "right": (19, 20, 23, 24, 27, 28, 31, 32, 35, 36, 39),
        "left": (40, 41, 44, 45, 48, 49, 52, 53, 56, 57, 60),
    }
)
INTERACTION_SOURCES: Final = (19, 23, 27, 31, 35, 39, 40, 44, 48, 52, 56, 60)  # 10 tips and 2 wrists
INTERACTION_DESTINATIONS: Final = (
    0, 3, 6, 7, 10, 13, 15, 16, 17, 18, 19, 23, 27, 31, 35, 39, 40, 44, 48, 52, 56, 60,
)  # fmt: skip
ACTIVITY_REFERENCE: Final = (0, 3, 6, 7)  # shoulders and hips: their mean y is the mid-torso

# ---------------------------------------------------------------- angles (radians)
BODY_ANGLES: Final = (
    "right_clavicle_z", "right_clavicle_y", "right_shoulder_z", "right_shoulder_x", "right_shoulder_y", "right_elbow_x",
    "left_clavicle_z", "left_clavicle_y", "left_shoulder_z", "left_shoulder_x", "left_shoulder_y", "left_elbow_x",
    "head_z", "head_x", "head_y", "lower_spine_x", "reserved_0", "reserved_1", "reserved_2",
    "spine_z", "spine_x", "spine_y",
)  # fmt: skip
HAND_ANGLES: Final = (
    "wrist_x", "wrist_y", "wrist_z",
    "thumb_cmc_x", "thumb_cmc_y", "thumb_cmc_z", "thumb_mcp_x", "thumb_mcp_y", "thumb_mcp_z",
    "thumb_ip_x", "thumb_ip_y", "thumb_ip_z", "thumb_tip_x",
    *(
        f"{finger}_{part}"
        for finger in FINGERS[1:]
        for part in ("metacarpal_x", "metacarpal_y", "metacarpal_z", "mcp_x", "mcp_y", "pip_x", "dip_x")
    ),
)  # fmt: skip
ARM_ANGLES: Final = MappingProxyType(  # clavicle z y, shoulder z x y, elbow x
    {side: slice(BODY_ANGLES.index(f"{side}_clavicle_z"), BODY_ANGLES.index(f"{side}_elbow_x") + 1) for side in SIDES}
)
HEAD_ANGLES: Final = slice(BODY_ANGLES.index("head_z"), BODY_ANGLES.index("head_y") + 1)  # z x y
SPINE_ANGLES: Final = slice(BODY_ANGLES.index("spine_z"), BODY_ANGLES.index("spine_y") + 1)  # z x y, upper spine
LOWER_SPINE: Final = BODY_ANGLES.index("lower_spine_x")
N_BODY_ANGLES: Final = len(BODY_ANGLES)  # 22
N_HAND_ANGLES: Final = len(HAND_ANGLES)  # 41
N_WRIST_ANGLES: Final = 3  # the first of them
RESERVED_ANGLES: Final = (16, 17, 18)  # always 0

# ---------------------------------------------------------------- bone lengths
# offsets[0] is in metres, the others are ratios to it (skeleton "Offsets": b0..b15 and h0..h19).
BODY_OFFSETS: Final = (
    "upper_arm", "clavicle", "forearm", "neck_nose", "hip_half_width", "spine_half",
    "ear_x", "ear_y", "ear_z", "mouth_x", "mouth_y", "mouth_z",
    "eye_spacing", "eye_x", "eye_height", "eye_z",
)  # fmt: skip
HAND_OFFSETS: Final = (
    "index_metacarpal",
    "thumb_carpal", "thumb_metacarpal", "thumb_proximal", "thumb_distal",
    "index_proximal", "index_middle", "index_distal",
    *(f"{finger}_{bone}" for finger in FINGERS[2:] for bone in ("metacarpal", "proximal", "middle", "distal")),
)  # fmt: skip
N_BODY_OFFSETS: Final = len(BODY_OFFSETS)  # 16
N_HAND_OFFSETS: Final = len(HAND_OFFSETS)  # 20

# Defaults (medians of a measured sample), used until a corpus's own medians replace them.
DEFAULT_BODY_OFFSETS: Final[NDArray[np.float64]] = np.array(
    [0.266, 0.599, 0.931, 0.793, 0.461, 0.830, 0.204, 0.066, 0.259, 0.079, 0.136, 0.033, 0.045, 0.106, 0.073, 0.066]
)
DEFAULT_HAND_OFFSETS: Final[NDArray[np.float64]] = np.array(
    [0.081, 0.451, 0.411, 0.341, 0.257, 0.479, 0.269, 0.203, 0.956, 0.524, 0.295, 0.214,
     0.908, 0.491, 0.274, 0.198, 0.870, 0.388, 0.214, 0.163]
)  # fmt: skip

# ---------------------------------------------------------------- observed ranges (degrees)
# Ranges seen in a sample of real signing: a lower bound of the anatomical limits.
_FREE = (-180.0, 180.0)
_OBSERVED_BODY = (
    (-5, 6), (-6, 8), (-14, 39), (-50, 15), (-53, 7), (-141, -37),
    (-5, 6), (-6, 8), (-24, 1), (-41, 16), (6, 51), (-141, -37),
    (-7, 4), (26, 49), (-4, 13), (-25, -11), (0, 0), (0, 0), (0, 0), (-5, 4), (8, 20), (-12, 15),
)  # fmt: skip
_OBSERVED_THUMB = (
    (-34, -9), (-42, -22), (-26, -8), (-13, 10), (16, 37), (-44, -28), (-27, -2), (-4, 15), (-22, 23), (-52, 3)
)  # fmt: skip
_OBSERVED_METACARPAL_Y = {"index": (-6, 2), "middle": (8, 16), "ring": (21, 29), "pinky": (33, 43)}
_OBSERVED_SPREAD = {"index": (2, 31), "middle": (-9, 20), "ring": (-17, 15), "pinky": (-23, 19)}
_OBSERVED_HAND = (
    _FREE, (-70, 70), _FREE,
    *_OBSERVED_THUMB,
    *(
        limits
        for finger in FINGERS[1:]
        for limits in ((-5, 5), _OBSERVED_METACARPAL_Y[finger], (-29, 29),
                       (-87, 9), _OBSERVED_SPREAD[finger], (-113, 4), (-86, 3))
    ),
)  # fmt: skip
OBSERVED_BODY_RANGES: Final[NDArray[np.float64]] = np.radians(np.array(_OBSERVED_BODY, float))  # (22, 2)
OBSERVED_HAND_RANGES: Final[NDArray[np.float64]] = np.radians(np.array(_OBSERVED_HAND, float))  # (41, 2)

# ---------------------------------------------------------------- joint limits
# Limits of inverse kinematics (degrees): wider than the observed ranges, since signers go beyond that sample, detectors
# are noisy, and a limit that visibly distorts a real pose is wrong. The body's limits also allow a torso rotated away
# from the camera (there is no root rotation: clavicles, spine and head absorb it) and any direction of the arms.
_BODY_LIMITS = (
    (-45, 45), (-80, 80), (-90, 180), (-90, 90), (-160, 120), (-160, 0),
    (-45, 45), (-80, 80), (-180, 90), (-90, 90), (-120, 160), (-160, 0),
    (-60, 60), (-45, 90), (-90, 90), (-50, 0), (0, 0), (0, 0), (0, 0), (-60, 60), (-60, 80), (-80, 80),
)  # fmt: skip
_WIDENED = MappingProxyType(  # degrees below and above the observed range, by the end of the angle's name
    {
        # They describe the shape of the palm; springs hold them, not limits.
        "metacarpal_x": (15, 15), "metacarpal_y": (15, 15), "metacarpal_z": (60, 60),
        "thumb_tip_x": (35, 22), "mcp_x": (30, 21), "mcp_y": (25, 25), "pip_x": (20, 8), "dip_x": (20, 12),
    }
)  # fmt: skip
_WIDENED_THUMB = (35, 35)


def _widened(angle: str) -> tuple[int, int]:
    if angle.startswith("thumb") and angle != "thumb_tip_x":
        return _WIDENED_THUMB
    return next((margins for end, margins in _WIDENED.items() if angle.endswith(end)), (0, 0))


BODY_LIMITS: Final[NDArray[np.float64]] = np.radians(np.array(_BODY_LIMITS, float))  # (22, 2)
HAND_LIMITS: Final[NDArray[np.float64]] = OBSERVED_HAND_RANGES + np.radians(  # (41, 2)
    np.array([_widened(angle) for angle in HAND_ANGLES]) * (-1, 1)
)
HAND_LIMITS[HAND_ANGLES.index("wrist_y")] = np.radians((-90, 90))  # x and z are free: one set of angles each palm
for _limits in (BODY_LIMITS, HAND_LIMITS):
    _limits.flags.writeable = False
