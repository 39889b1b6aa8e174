"""What the text of an optimised XLA program says of its cost: estimated cycles and collectives.

The TPU compiler writes its own estimate of every fusion's cycles into the text
(`"estimated_cycles":"9557312"`). They are summed over what one run executes: the entry computation,
what it calls, a loop's body as often as the loop is known to turn, and the mean of a conditional's
branches. What only moves data between memories (copies, slices, collectives) carries no estimate,
and runs at the same time as the rest; pads carry none either, and do not.
"""

import collections
import functools
import math
import re
from typing import NamedTuple

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
UNESTIMATED = ("pad", "reshape", "copy", "transpose", "concatenate", "dynamic-update-slice")
BITS = {"pred": 8, "s4": 4, "u4": 4, "token": 0} | {
    f"{kind}{bits}": bits for kind in ("s", "u", "f", "bf", "c") for bits in (8, 16, 32, 64, 128)
}
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?(?P<name>[\w.-]+) = (?P<rest>.*)")
_OPCODE = re.compile(r"(?P<shape>.*?[\]})])\s(?P<opcode>[a-z][\w-]*)\((?P<attributes>.*)", re.S)
_HEADER = re.compile(r"(?P<entry>ENTRY )?%?(?P<name>[\w.-]+) \(.*\{$")
_ARRAY = re.compile(r"(?P<type>[a-z]+\d*)\[(?P<sides>[\d,]*)\]")


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    shape: str
    opcode: str
    attributes: str  # operands, called computations, metadata, backend_config

    @property
    def cycles(self) -> int:
        """The compiler's estimate; 0 if it gives none."""
        estimate = re.search(r'"estimated_cycles":"(\d+)"', self.attributes)
        return int(estimate[1]) if estimate else 0

    @property
    def source(self) -> str:
        """The path of modules and operations that it came from."""
        name = re.search(r'op_name="([^"]*)"', self.attributes)
        return name[1] if name else ""


class Program:
    """The computations of a program by name, and which of them is the entry."""

    def __init__(self, text: str) -> None:
        self.computations: dict[str, list[Instruction]] = collections.defaultdict(list)
        self.entry = current = ""
        for line in text.splitlines():
            if header := _HEADER.match(line):
                current = header["name"]
                self.entry = current if header["entry"] else self.entry
            elif current and (instruction := _INSTRUCTION.match(line)):
                if parts := _OPCODE.match(instruction["rest"]):
                    self.computations[current].append(
                        Instruction(instruction["name"], *parts.groups())
                    )
            elif line.startswith("}"):
                current = ""
        if not self.entry:
            raise ValueError("found no ENTRY computation; expected the text of a compiled program")

    @functools.cached_property
    def executed(self) -> list[tuple[Instruction, float]]:
        """Every instruction that a run reaches, with how often it does."""
        return self._reached(self.entry, 1.0)

    @property
    def cycles(self) -> float:
        """The compiler's estimate for one run."""
        return sum(times * each.cycles for each, times in self.executed)

    @property
    def bytes_without_estimate(self) -> float:
        """Bytes that operations write which have no estimate and do not overlap with others."""
        return sum(
            times * bytes_of(each.shape)
            for each, times in self.executed
            if each.opcode in UNESTIMATED and not each.cycles
        )

    def collectives(self) -> list[tuple[str, float]]:
        """Each collective that a run reaches: its kind and the bytes of its result."""
        kinds = ((each.opcode.removesuffix("-start"), each) for each, _ in self.executed)
        return [(kind, bytes_of(each.shape)) for kind, each in kinds if kind in COLLECTIVES]

    def _reached(self, name: str, times: float) -> list[tuple[Instruction, float]]:
        reached = []
        for each in self.computations[name]:
            reached.append((each, times))
            for inner, share in _calls(each):
                reached += self._reached(inner, times * share)
        return reached


def bytes_of(shape: str) -> float:
    """Of an array such as `f32[8,128]{1,0:T(8,128)}`, or of all arrays of a tuple."""
    return sum(
        BITS[array["type"]] / 8 * math.prod(int(side) for side in array["sides"].split(",") if side)
        for array in _ARRAY.finditer(shape)
        if array["type"] in BITS
    )


def _calls(instruction: Instruction) -> list[tuple[str, float]]:
    """Computations that an instruction runs as programs of their own, and how often."""
    text = instruction.attributes
    if instruction.opcode == "while":
        turns = re.search(r'known_trip_count":\{"n":"(\d+)"', text)
        count = float(turns[1]) if turns else 1.0
        return [(name, count) for name in re.findall(r"(?:body|condition)=%?([\w.-]+)", text)]
    if instruction.opcode == "conditional":
        listed = re.search(r"branch_computations=\{([^}]*)\}", text)
        names = (
            re.findall(r"[\w.-]+", listed[1])
            if listed
            else re.findall(r"(?:true|false)_computation=%?([\w.-]+)", text)
        )
        return [(name, 1 / len(names)) for name in names]
    if instruction.opcode in ("call", "async-start"):
        return [(name, 1.0) for name in re.findall(r"(?:to_apply|calls)=%?([\w.-]+)", text)]
    return []
