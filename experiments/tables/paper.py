"""The paper's figures (paper.json), to stand beside ours.

TABLE1  condition → detector → precision, recall, F1 of StarGAN's fakes, the attack, the paper's P
TABLE2  generator → detector → F1 of the fakes, under the attack, under P. The paper has no attack
        on First Order Motion, and no ResNet-50 for it.
TABLE3  generator → the same as table 1, by the multi-attentional detector
TABLE4  generator → detector → share judged real of x, x+P(x) and G(x+P(x))
TABLE5  GANimation: detector in P's training → detector of the test → F1; TABLE5_NONE: of G(x),
        which the paper prints along the first axis
TABLE6  generator of P's training → generator of the test → L2, share disrupted
TABLE7  condition of P's training → condition of the test → F1 by Xception; TABLE7_NONE: of G(x)
TABLE8  row → generator → L2, share disrupted
TABLE9  generator → seconds a photo of PGD and of P
"""

import json
import pathlib
from typing import Any

BY_ROW = {"no protection": 0, "PGD": 1, "P": 2}  # which of our rows is which of the paper's

_FIGURES: dict[str, Any] = json.loads(pathlib.Path(__file__).with_name("paper.json").read_text())
TABLE1, TABLE2, TABLE3, TABLE4 = (_FIGURES[f"TABLE{number}"] for number in (1, 2, 3, 4))
TABLE5, TABLE6, TABLE7, TABLE8, TABLE9 = (_FIGURES[f"TABLE{number}"] for number in (5, 6, 7, 8, 9))
TABLE5_NONE, TABLE7_NONE = _FIGURES["TABLE5_NONE"], _FIGURES["TABLE7_NONE"]
