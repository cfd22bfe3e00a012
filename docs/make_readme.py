"""Write README.md from nbs/index.ipynb: python docs/make_readme.py

nbdev's own filters (hidden cells, directives, links) run first, then nbconvert; `nbdev-readme` itself needs quarto, which pip cannot install.
"""

import os, re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = '<!-- Made from nbs/index.ipynb by docs/make_readme.py; change the notebook, then run that command again. -->\n\n'


def text():
    "README.md as it follows from the notebook"
    import nbformat
    from nbconvert import MarkdownExporter
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
    cells = [
        nbformat.from_dict(
            dict(
                cell_type=c.cell_type,
                metadata={},
                source=''.join(c.source),
                id=f'c{i}',
                **(dict(outputs=[], execution_count=None) if c.cell_type == 'code' else {}),
            )
        )
        for i, c in enumerate(p.nb.cells)
    ]
    nb = nbformat.v4.new_notebook(cells=cells, metadata=dict(language_info=dict(name='python')))
    md = MarkdownExporter().from_notebook_node(nb)[0]
    md = re.sub(r'\]\((\w[\w/]*\.ipynb|solutions/)', r'](nbs/\1', md)  # links between notebooks
    return NOTE + re.sub(r'\n{3,}', '\n\n', re.sub(r'\]\(\.\./', '](', md)).strip() + '\n'


if __name__ == '__main__':
    os.chdir(ROOT)
    (ROOT / 'README.md').write_text(text())
