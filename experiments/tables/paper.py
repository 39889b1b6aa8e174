"""The paper's figures, to stand beside ours. Lists are precision, recall, F1 (tables 1 and 3)."""

BY_ROW = {"no protection": 0, "PGD": 1, "P": 2}  # which of our rows is which of the paper's

# Table 1: condition → detector → what StarGAN's fakes, the attack and the paper's P reach.
TABLE1 = {
    "Black_Hair": {
        "xception": ((0.51, 0.99, 0.68), (0.53, 0.99, 0.69), (0.90, 0.99, 0.94)),
        "resnet18": ((0.39, 0.60, 0.47), (0.50, 0.60, 0.55), (1.00, 0.60, 0.75)),
        "resnet50": ((0.43, 0.75, 0.55), (0.46, 0.75, 0.57), (0.94, 0.75, 0.83)),
    },
    "Blond_Hair": {
        "xception": ((0.51, 0.99, 0.67), (0.55, 0.99, 0.71), (0.98, 0.99, 0.99)),
        "resnet18": ((0.38, 0.60, 0.46), (0.52, 0.60, 0.56), (1.00, 0.60, 0.75)),
        "resnet50": ((0.43, 0.75, 0.55), (0.56, 0.75, 0.64), (0.99, 0.75, 0.85)),
    },
    "Brown_Hair": {
        "xception": ((0.51, 0.99, 0.68), (0.56, 0.99, 0.71), (0.96, 0.99, 0.98)),
        "resnet18": ((0.38, 0.60, 0.47), (0.49, 0.60, 0.54), (0.75, 0.60, 0.67)),
        "resnet50": ((0.43, 0.75, 0.55), (0.46, 0.75, 0.57), (0.54, 0.75, 0.63)),
    },
    "Male": {
        "xception": ((0.51, 0.99, 0.68), (0.54, 0.99, 0.70), (0.97, 0.99, 0.98)),
        "resnet18": ((0.39, 0.60, 0.47), (0.42, 0.60, 0.49), (1.00, 0.60, 0.75)),
        "resnet50": ((0.43, 0.75, 0.55), (0.51, 0.75, 0.61), (0.98, 0.75, 0.85)),
    },
    "Young": {
        "xception": ((0.51, 0.99, 0.67), (0.53, 0.99, 0.69), (0.90, 0.99, 0.95)),
        "resnet18": ((0.38, 0.60, 0.47), (0.48, 0.60, 0.53), (1.00, 0.60, 0.75)),
        "resnet50": ((0.43, 0.75, 0.54), (0.51, 0.75, 0.61), (0.83, 0.75, 0.79)),
    },
}

# Table 2: generator → detector → F1 of the fakes, under the attack, under P. The paper has no
# attack on First Order Motion, and no ResNet-50 for it.
TABLE2 = {
    "stargan": {
        "xception": (0.72, 0.78, 0.92),
        "resnet18": (0.56, 0.60, 0.71),
        "resnet50": (0.64, 0.66, 0.74),
    },
    "ganimation": {
        "xception": (0.74, 0.82, 0.89),
        "resnet18": (0.55, 0.60, 0.75),
        "resnet50": (0.63, 0.72, 0.87),
    },
    "fomm": {"xception": (0.63, None, 0.80), "resnet18": (0.58, None, 0.78)},
}

# Table 3: generator → precision, recall, F1 by the multi-attentional detector.
TABLE3 = {
    "stargan": ((0.53, 0.98, 0.69), (0.67, 0.98, 0.77), (0.88, 0.98, 0.93)),
    "ganimation": ((0.62, 0.96, 0.75), (0.73, 0.96, 0.84), (0.85, 0.96, 0.91)),
}

# Table 4: generator → share judged real of x, x+P(x) and G(x+P(x)), by Xception and ResNet-18.
TABLE4 = {
    "stargan": {"xception": (0.99, 0.98, 0.10), "resnet18": (0.98, 0.96, 0.07)},
    "ganimation": {"xception": (0.99, 0.98, 0.03), "resnet18": (0.97, 0.96, 0.09)},
    "fomm": {"xception": (0.99, 0.98, 0.13), "resnet18": (0.97, 0.96, 0.16)},
}

# Table 5, GANimation: detector in P's training → detector of the test → F1; "none": of G(x), which
# the paper prints along the first axis.
TABLE5 = {
    "xception": {"xception": 0.89, "resnet18": 0.77, "resnet50": 0.68},
    "resnet18": {"xception": 0.61, "resnet18": 0.75, "resnet50": 0.64},
    "resnet50": {"xception": 0.74, "resnet18": 0.79, "resnet50": 0.87},
}
TABLE5_NONE = {"xception": 0.74, "resnet18": 0.55, "resnet50": 0.63}

# Table 6: generator of P's training → generator of the test → L2, share disrupted.
TABLE6 = {
    "stargan": {"stargan": (0.326, 1.00), "ganimation": (0.183, 0.74)},
    "ganimation": {"stargan": (0.987, 1.00), "ganimation": (0.073, 0.82)},
}

# Table 7: condition of P's training → condition of the test → F1 by Xception.
TABLE7 = {
    "Black_Hair": {"Black_Hair": 0.94, "Blond_Hair": 0.79, "Brown_Hair": 0.81},
    "Blond_Hair": {"Black_Hair": 0.73, "Blond_Hair": 0.99, "Brown_Hair": 0.70},
    "Brown_Hair": {"Black_Hair": 0.69, "Blond_Hair": 0.74, "Brown_Hair": 0.98},
}
TABLE7_NONE = {"Black_Hair": 0.68, "Blond_Hair": 0.67, "Brown_Hair": 0.68}

# Table 8: row → generator → L2, share disrupted.
TABLE8 = {
    "I-FGSM": {"stargan": (1.324, 1.00), "ganimation": (0.120, 0.89), "fomm": (0.240, 0.92)},
    "PGD": {"stargan": (1.532, 1.00), "ganimation": (0.064, 0.79), "fomm": (0.280, 1.00)},
    "P": {"stargan": (0.326, 1.00), "ganimation": (0.073, 0.82), "fomm": (0.320, 0.91)},
}

# Table 9: generator → seconds a photo of PGD and of P.
TABLE9 = {"stargan": (0.551, 0.062), "ganimation": (0.628, 0.057)}
