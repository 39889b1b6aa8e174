"""Rows of a table with known figures, for the tests of the paper's tables."""

from dfd_jax.evaluation.results import Cell, Row, Verdict
from experiments.tables import paper

DETECTORS = ("xception", "resnet18", "resnet50", "multi_attentional")


def fake_row(name, q, l2=0.1):
    verdict = Verdict(
        R=1.0,
        R_protected=1.0,
        q=q,
        q_interval=(q - 0.01, q + 0.01),
        precision=1 / (1 + q),
        recall=1.0,
        f1=2 / (2 + q),
        floor=2 / 3,
        cap=1.0,
    )
    cells = [
        Cell(
            generator="stargan",
            condition=condition,
            n=8,
            l2=l2,
            masked_l2=l2,
            masked_disrupted=1.0,
            disrupted=1.0,
            disrupted_interval=(0.9, 1.0),
            detectors=dict.fromkeys(DETECTORS, verdict),
        )
        for condition in (*paper.TABLE1, "all")
    ]
    return Row(name=name, cells=tuple(cells), psnr=35.0, ssim=1.0, lpips=0.0, linf_255=6)
