"""Pages that MkDocs makes of files elsewhere in the repository: nothing is copied by hand."""

import pathlib
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
TOP_LEVEL = ("CHANGELOG", "CONTRIBUTING", "SECURITY")
TITLES = {  # of the files that do not start with a heading: measured training runs
    "quickstart": "The quick start",
    "stargan_photos": "StarGAN through 178-pixel photos",
    "disrupter_stargan_64": "P for StarGAN",
    "disrupter_stargan_fast": "P for StarGAN, the fast one",
    "disrupter_stargan_quiet": "P for StarGAN, the quiet one",
    "disrupter_ganimation": "P for GANimation",
    "disrupter_fomm": "P for First Order Motion",
    "disrupter_ensemble": "P for all three generators",
}
GROUPS = {  # of the navigation: names of files
    "Tables of the paper": "table*",
    "Perturbers": "[dqs]*",
    "Benchmarks": "benchmark_*",
    "TPU": "tpu_*",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for each result to the navigation."""
    section: list[Any] = next(e["Results"] for e in config.nav or [] if "Results" in e)
    for group, pattern in GROUPS.items():
        pages = sorted(path.name for path in RESULTS.glob(f"{pattern}.md"))
        section.append({group: [f"results/{name}" for name in pages]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the results and their pictures, a list of them to results/index.md, and the top-level
    documents.
    """
    lines = []
    for group, pattern in GROUPS.items():
        lines += ["", f"## {group}", ""]
        for path in sorted(RESULTS.glob(f"{pattern}.md")):
            title, summary, content = _page(path)
            files.append(File.generated(config, f"results/{path.name}", content=content))
            lines.append(f"* [{title}]({path.name}): {summary}")
    for path in [*RESULTS.glob("*.svg"), *RESULTS.glob("*.png")]:
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    index = files.get_file_from_path("results/index.md")
    assert index is not None
    index.content_string += "\n" + "\n".join(lines) + "\n"
    for name in TOP_LEVEL:
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, f"{name.lower()}.md", content=text))
    return files


def _page(path: pathlib.Path) -> tuple[str, str, str]:
    """A result's title, its first sentence, and the page."""
    text = path.read_text(encoding="utf-8").replace("(../README.md)", "(../metrics.md)")
    if not text.startswith("# "):
        text = f"# {TITLES.get(path.stem, path.stem)}\n\n{text}"
    title, summary = text.split("\n\n")[:2]
    sentence = re.split(r"(?<=\.)\s(?=[A-Z])", " ".join(summary.split()))[0]
    return title.removeprefix("# "), sentence, text
