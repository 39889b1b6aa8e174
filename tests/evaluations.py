"""An evaluation as dfd_jax.evaluate writes it, with known numbers, for the tests of reports."""

import json
from typing import Any

from dfd_jax.evaluation import results
from dfd_jax.evaluation.results import Evaluation, Row

CONDITIONS = ("Black_Hair", "Male", "all")


def verdict(r: float, kept: float, q: float) -> dict[str, Any]:
    """A detector's results with the protocol's formulas applied to R and q."""
    return {
        "R": r,
        "R_protected": kept,
        "q": q,
        "q_interval": [max(0.0, q - 0.02), min(1.0, q + 0.03)],
        "precision": r / (r + q),
        "recall": r,
        "f1": 2 * r / (r + q + 1),
        "floor": 2 * r / (r + 2),
        "cap": 2 * r / (r + 1),
        "auc": 0.876,
        "counts": {"tp": 61, "fn": 2, "fp": 1234, "tn": 4321},
    }


def plain_row(name: str, l2: float, disrupted: float, qs: tuple[float, float]) -> dict[str, Any]:
    cells = [
        {
            "generator": "stargan",
            "condition": condition,
            "n": 315 if condition == "all" else 63,
            "l2": l2,
            "l2_median": l2 * 0.9,
            "l2_interval": [l2 * 0.8, l2 * 1.2],
            "masked_l2": l2 * 1.5,
            "masked_disrupted": disrupted * 0.9,
            "empty_masks": 0,
            "disrupted": disrupted,
            "disrupted_interval": [disrupted * 0.95, disrupted],
            "detectors": {
                "xception": verdict(0.97, 0.96, qs[0]),
                "resnet18": verdict(0.94, 0.90, qs[1]),
            },
        }
        for condition in CONDITIONS
    ]
    return {"row": name, "linf_255": 6, "rms_255": 4.1, "psnr": 35.2, "ssim": 0.971, "cells": cells}


def evaluated_row(name: str, l2: float, disrupted: float, qs: tuple[float, float]) -> Row:
    """The same, typed."""
    return results.from_json(json.dumps(plain_row(name, l2, disrupted, qs)), Row)


def example() -> Evaluation:
    """Three rows; P breaks 98.4 % of the fakes, lowers q of xception and raises q of resnet18."""
    return typed(plain())


def typed(content: Any) -> Evaluation:
    """The evaluation of this JSON content."""
    return results.from_json(json.dumps(content), Evaluation)


def plain() -> dict[str, Any]:
    """The content of an evaluation.json."""
    unprotected = plain_row("no protection", 0.0, 0.0, (0.87, 0.75))
    unprotected |= {"linf_255": 0, "rms_255": 0, "psnr": None, "ssim": 1.0}
    return {
        "created": "2030-01-02T03:04:05",
        "commit": "abc1234",
        "command": "evaluate --workdir <W> & more",
        "device": "cpu",
        "seed": 3,
        "step": 900,
        "perturber": {
            "model": "unet",
            "hyper": {"width": 16},
            "input_size": 64,
            "budget": {"bound": "tanh"},
            "sha256": "ffee",
        },
        "generators": [{"name": "stargan", "sha256": "aa11"}],
        "detectors": [
            {"name": "resnet18", "sha256": "cc33", "in_the_loop": False},
            {"name": "xception", "sha256": "bb22", "in_the_loop": True},
        ],
        "photos": {
            "count": 63,
            "split": "test",
            "source": "folder",
            "sha256": "dd44",
            "skipped": 1,
        },
        "rows": [
            unprotected,
            plain_row("random noise", 5e-5, 0.0, (0.87, 0.75)),
            plain_row("P", 0.214, 0.984, (0.04, 0.80)),
        ],
        "crop_sizes": [
            {
                "generator": "stargan",
                "side": 256,
                "scale": 4.0,
                "l2": 0.181,
                "disrupted": 0.93,
                "linf_255": 6,
                "psnr": None,
                "q": {"xception": 0.1, "resnet18": 0.8},
                "R_protected": {"xception": 0.9, "resnet18": 0.8},
            }
        ],
        "channels": [
            {
                "channel": "JPEG 75",
                "generator": "stargan",
                "l2": 0.123,
                "disrupted": 0.77,
                "q": {"xception": 0.31, "resnet18": 0.99},
                "R_protected": {"xception": 0.95, "resnet18": 0.5},
            }
        ],
        "speed": {"batch_1_ms": 11.42, "best_batch": 16, "best_batch_ms": 4.26},
        "protects_against": ["StarGAN at 64 px"],
        "not_tested_against": ["diffusion <models>"],
    }


def without_figures(node: Any) -> Any:
    """`node` with null instead of every figure that may be missing (counts cannot)."""
    if isinstance(node, dict):
        return {key: without_figures(value) for key, value in node.items()}
    if isinstance(node, list):
        return [without_figures(value) for value in node]
    return None if isinstance(node, float) else node
