"""Run the notebooks in this interpreter and render them as static pages.

``python notebooks/render.py`` runs every numbered source beside this file and writes
``rendered/NAME.html``. The first line of a page has the digest of its source, so
that a test can tell a page of yesterday.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RENDERED = HERE / "rendered"
SECONDS = 1800
KERNEL = "this-interpreter"
STYLE = """
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: #f7f6f3; color: #1d1c1a;
  font: 400 16px/1.6 ui-sans-serif, system-ui, sans-serif; }
h1, h2 { line-height: 1.25; } h2 { margin-top: 2.4rem; }
main > :is(p, ul, ol) { max-width: 46rem; } a { color: #22527b; }
pre { padding: .8rem 1rem; border-radius: 8px; background: #fff; border: 1px solid #e3dfd7; overflow-x: auto;
  font: 400 13px/1.5 ui-monospace, monospace; }
.out { margin: .6rem 0 1.6rem; overflow-x: auto; } .out > pre { background: none; border: 0; padding: 0; }
.out table.dataframe { border-collapse: collapse; border: 0; background: #fff; font-size: 13px; }
.out table.dataframe :is(th, td) { padding: .25rem .7rem; border: 0; border-bottom: 1px solid #e3dfd7;
  text-align: left; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def sources() -> list[Path]:
    """The notebooks, in reading order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def digest(source: Path) -> str:
    """Digest of a notebook's source, whatever its line ends."""
    return hashlib.sha256(source.read_text(encoding="utf-8").encode()).hexdigest()


def header(source: Path) -> str:
    """The first line of a rendered page."""
    return f"<!-- {source.name} sha256:{digest(source)}. Long because it is rendered by render.py. -->"


def executed(source: Path, folder: Path) -> Any:
    """The notebook with its outputs, run in ``folder`` by this interpreter; its first error is raised."""
    import jupytext
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = jupytext.read(source, fmt="py:percent")
    with tempfile.TemporaryDirectory() as place:
        own = Path(place)
        spec = own / "kernels" / KERNEL
        spec.mkdir(parents=True)
        command = [
            sys.executable,
            "-Xfrozen_modules=off",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ]
        described = {"argv": command, "display_name": KERNEL, "language": "python"}
        (spec / "kernel.json").write_text(json.dumps(described), encoding="utf-8")
        manager = AsyncKernelManager(
            kernel_name=KERNEL,
            kernel_spec_manager=KernelSpecManager(
                kernel_dirs=[str(own / "kernels")], ensure_native_kernel=False
            ),
            connection_file=str(own / "connection.json"),
            # Sockets in a folder: nobody else can reach them, and no network is needed.
            transport="ipc" if os.name == "posix" else "tcp",
        )
        client = NotebookClient(
            notebook, timeout=SECONDS, km=manager, resources={"metadata": {"path": str(folder)}}
        )
        # A kernel of ours is ours to end, which the client does only with kernels of its own making.
        client.owns_km = True
        client.execute(env=_environment(own))
    return notebook


def page(source: Path, notebook: Any) -> str:
    """A finished notebook as one HTML file without scripts or requests."""
    cells = Markup("\n").join(part for cell in notebook.cells for part in _cell(cell))
    title = source.stem[3:].replace("_", " ").capitalize()
    head = Markup(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="{}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>{}</title><style>{}</style></head><body><main>\n"
    ).format(POLICY, f"{title} · fmaudit", Markup(STYLE))
    return f"{header(source)}\n{head}{cells}\n</main></body></html>\n"


def _environment(own: Path) -> dict[str, str]:
    paths = [str(ROOT), str(ROOT / "probes"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "IPYTHONDIR": str(own / "ipython"),
        "HF_HUB_OFFLINE": "1",
    }


def _cell(cell: Any) -> list[Markup]:
    if cell.cell_type == "markdown":
        from markdown_it import MarkdownIt

        text = re.sub(r"\((\d\d_\w+)\.py\)", r"(\1.html)", cell.source)
        return [Markup(MarkdownIt("commonmark", {"html": False}).render(text))]
    return [
        Markup("<pre><code>{}</code></pre>").format(cell.source),
        *(shown for output in cell.outputs for shown in _output(output)),
    ]


def _output(output: Any) -> list[Markup]:
    if output.output_type == "stream":
        return [_text(output.text)] if output.name == "stdout" else []
    data = output.get("data", {})
    for kind in ("text/html", "image/svg+xml"):
        if kind in data:
            return [Markup('<div class="out">{}</div>').format(Markup(data[kind]))]
    return [_text(data["text/plain"])] if "text/plain" in data else []


def _text(text: str) -> Markup:
    return Markup('<div class="out"><pre>{}</pre></div>').format(escape(text.rstrip()))


def main() -> None:
    """Run and render the notebooks named, or all."""
    parser = argparse.ArgumentParser(description="Run notebooks and render them as static pages.")
    parser.add_argument("sources", nargs="*", type=Path, help="Default: all.")
    parser.add_argument("--output", type=Path, default=RENDERED, help="Folder of the pages.")
    parser.add_argument("--folder", type=Path, default=ROOT, help="Where they run.")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    for source in chosen.sources or sources():
        print(source.name, flush=True)
        made = page(source, executed(source, chosen.folder))
        (chosen.output / f"{source.stem}.html").write_text(made, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
