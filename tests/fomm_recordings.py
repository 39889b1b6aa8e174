"""What the recordings of the First Order Motion Model hold, for test_parity.py."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from dfd_jax.models.generators.fomm import KeyPoints, Motion, motion

Call = Callable[..., Any]  # the network's forward on its raw inputs
Inputs = dict[str, Any]  # the recorded inputs by their names, NHWC

# Intermediates by the recording's names: where they are found in ours.
HOURGLASS, MOTION = "kp_detector/predictor", "generator/dense_motion_network"
DETECTOR = {
    "down": "kp_detector/down",
    "predictor_encoder_down_blocks_1": f"{HOURGLASS}/encoder.down_blocks.1/__call__",
    "predictor_decoder_up_blocks_4": f"{HOURGLASS}/decoder.up_blocks.4/__call__",
    "kp": "kp_detector/kp/__call__",
}
GENERATOR = {
    "deformation": f"{MOTION}/deformation",
    "sparse_deformed": f"{MOTION}/sparse_deformed",
    "first": "generator/first/__call__",
    "dense_motion_network_down": f"{MOTION}/down",
    "dense_motion_network_hourglass": f"{MOTION}/hourglass/__call__",
    "bottleneck": "generator/bottleneck.r5/__call__",
}


def keypoint_loss(call: Call, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    points = call(inputs["x"], method="keypoints")
    return jnp.mean(points.value**2) + jnp.mean(points.jacobian**2), points._asdict()


def recorded_points(inputs: Inputs, name: str) -> KeyPoints:
    return KeyPoints(inputs[f"kp_{name}_value"], inputs[f"kp_{name}_jacobian"])


def moved_loss(call: Call, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    photo = inputs["source"]
    source, driving = recorded_points(inputs, "source"), recorded_points(inputs, "driving")
    flow = call(photo, source, driving, method="flow")
    deformed = call(photo, flow, method="deform")
    prediction = call(photo, driving, source)
    outputs = {"occlusion_map": flow.occlusion_map, "mask": flow.mask, "deformed": deformed}
    return jnp.mean(prediction**2), outputs | {"prediction": prediction}


def animated_loss(call: Call, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    initial, driving = (recorded_points(inputs, n) for n in ("driving_initial", "driving"))
    source = call(inputs["source"], method="keypoints")
    moving = Motion(KeyPoints(driving.value[:, None], driving.jacobian[:, None]), initial)
    points = {"source": source, "driving": driving, "driving_initial": initial}
    modes = {  # relative, relative_jacobian, adapt_movement_scale
        "absolute": (False, False, False),
        "relative": (True, True, False),
        "relative_adapt": (True, True, True),
        "relative_value_only": (True, False, False),
    }
    for mode, settings in modes.items():
        frames = motion.normalize_kp(source, moving, *settings)
        points[f"norm_{mode}"] = KeyPoints(frames.value[:, 0], frames.jacobian[:, 0])
    outputs = {f"kp_{n}_{part}": a for n, p in points.items() for part, a in p._asdict().items()}
    for mode in ("relative", "relative_adapt"):
        outputs[f"prediction_{mode}"] = call(inputs["source"], points[f"norm_{mode}"], source)
    return jnp.mean(outputs["prediction_relative"] ** 2), outputs
