"""What MkDocs adds to the pages in docs/, so that nothing is copied by hand: a page for each file
in experiments/results, and the documents at the top of the repository.

Links between pages are those of the repository, and work on its hosting page as well.
"""

import pathlib
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = pathlib.Path(__file__).parent
ROOT = DOCS.parent
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
LINKS = {  # from a page in docs/ to a file elsewhere → to a page of the site
    r"\]\(\.\./experiments/results/": "](results/",
    r"\]\(\.\./experiments/README\.md[^)]*\)": "](results/index.md)",
    r"\]\(\.\./README\.md#limits\)": "](limits.md)",
    **{rf"\]\(\.\./{name}\.md": f"]({name.lower()}.md" for name in TOP_LEVEL},
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add to the navigation: a page for each result, and the details of performance."""
    sections: dict[str, list[Any]] = {}
    for entry in config.nav or []:
        sections |= entry if isinstance(entry, dict) else {}
    for group, pattern in GROUPS.items():
        pages = sorted(path.name for path in RESULTS.glob(f"{pattern}.md"))
        sections["Results"].append({group: [f"results/{name}" for name in pages]})
    place = sections["Background"].index("performance.md") + 1
    sections["Background"][place:place] = sorted(p.name for p in DOCS.glob("performance_*.md"))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the results with their pictures and their list, and the top-level documents."""

    def add(name: str, text: str) -> None:
        files.append(File.generated(config, name, content=text))

    lines = []
    for group, pattern in GROUPS.items():
        lines += ["", f"## {group}", ""]
        for path in sorted(RESULTS.glob(f"{pattern}.md")):
            title, summary, text = _page(path)
            add(f"results/{path.name}", text)
            lines.append(f"* [{title}]({path.name}): {summary}")
    index = files.get_file_from_path("results/index.md")
    assert index is not None
    index.content_string += "\n".join(lines) + "\n"
    for path in [*RESULTS.glob("*.svg"), *RESULTS.glob("*.png")]:
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    for name in TOP_LEVEL:
        add(f"{name.lower()}.md", _read(ROOT / f"{name}.md").replace("](docs/", "]("))
    limits = re.search(r"^## (Limits\n.*?)^## ", _read(ROOT / "README.md"), re.M | re.S)
    assert limits is not None
    add("limits.md", f"# {limits[1]}")
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the repository's links into the site's."""
    if "/" not in page.file.src_uri:
        for pattern, target in LINKS.items():
            markdown = re.sub(pattern, target, markdown)
    return markdown


def _page(path: pathlib.Path) -> tuple[str, str, str]:
    """A result's title, its first sentence, and the page."""
    text = re.sub(r"\(\.\./README\.md[^)]*\)", "(../metrics.md)", _read(path))
    text = text.replace("(../../docs/", "(../")
    if not text.startswith("# "):
        text = f"# {TITLES.get(path.stem, path.stem)}\n\n{text}"
    title, summary = text.split("\n\n")[:2]
    sentence = re.split(r"(?<=\.)\s(?=[A-Z])", " ".join(summary.split()))[0]
    return title.removeprefix("# "), sentence, text


def _read(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8")
