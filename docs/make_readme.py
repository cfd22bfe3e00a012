"""Write README.md from nbs/index.ipynb.

    python docs/make_readme.py

nbdev's own filters (hidden cells, directives, links) run first, then nbconvert; `nbdev-readme`
itself needs quarto, which pip cannot install.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = (
    '<!-- Made from nbs/index.ipynb by docs/make_readme.py; '
    'change the notebook, then run that command again. -->\n\n'
)


def filtered_cells():
    "The notebook's cells after nbdev's filters"
    from nbdev.process import NBProcessor
    from nbdev.processors import (
        clean_magics,
        hide_,
        hide_line,
        rm_export,
        rm_header_dash,
        strip_ansi,
    )

    procs = [strip_ansi, hide_line, rm_header_dash, rm_export, clean_magics, hide_]
    p = NBProcessor(ROOT / 'nbs/index.ipynb', procs=procs, rm_directives=True)
    p.process()
    return p.nb.cells


def bare_cell(i, cell):
    "A cell without its outputs"
    new = dict(cell_type=cell.cell_type, metadata={}, source=''.join(cell.source), id=f'c{i}')
    return new | (dict(outputs=[], execution_count=None) if cell.cell_type == 'code' else {})


def text():
    "README.md as it follows from the notebook"
    import nbformat
    from nbconvert import MarkdownExporter

    cells = [nbformat.from_dict(bare_cell(i, c)) for i, c in enumerate(filtered_cells())]
    nb = nbformat.v4.new_notebook(cells=cells, metadata=dict(language_info=dict(name='python')))
    md = MarkdownExporter().from_notebook_node(nb)[0]
    md = re.sub(r'\]\((\w[\w/]*\.ipynb|solutions/)', r'](nbs/\1', md)  # links between notebooks
    md = re.sub(r'\]\(\.\./', '](', md)
    return NOTE + re.sub(r'\n{3,}', '\n\n', md).strip() + '\n'


if __name__ == '__main__':
    os.chdir(ROOT)
    (ROOT / 'README.md').write_text(text())
