"""Build the site.

    python docs/build.py [--out docs/_build]

Notebooks and Markdown files become MyST pages (convert.py), the library's exported symbols API
pages (api.py). Sphinx makes HTML of them, a warning being an error, and check.py looks at what came
out. The stored outputs are shown, nothing is executed, and the pages load nothing from a network.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault('MPLBACKEND', 'agg')
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / 'docs'), str(ROOT)]
import api
import check
from convert import Site

CHAPTERS = {
    '1': 'A base model',
    '2': 'Fewer steps',
    '3': 'Cheaper steps',
    '4': 'Both',
}


GLYPHS = [
    *range(0x20, 0x180),
    *range(0x370, 0x400),
    *range(0x2000, 0x2300),
    *range(0x23DC, 0x23E2),
    *range(0x27E6, 0x27F0),
    *range(0x1D400, 0x1D800),
]


def toctree(caption, entries):
    "A list of pages"
    lines = '\n'.join(entries)
    return f'```{{toctree}}\n:caption: {caption}\n:maxdepth: 1\n\n{lines}\n```\n'


def title(site, page):
    "The heading of a page"
    text = (site.source / f'{page}.md').read_text()
    return re.search(r'^# (.+)', text, re.M)[1].replace('`', '')


def contents(site):
    "The lists of pages, in the order of reading"
    pages = [p for p in site.pages.values() if p != 'index']
    groups = {}
    for digit, chapter in CHAPTERS.items():
        own = [p for p in pages if re.match(rf'{digit}\d_', p)]
        groups[chapter] = [f'{p[:2]} {title(site, p)} <{p}>' for p in own]
    for p in pages:
        folder = p.split('/')[0].capitalize() if '/' in p else 'More'
        if not re.match(r'\d\d_', p):
            groups.setdefault(folder, []).append(p)
    groups['API'] = [f'presto_nb.{m} <api/{m}>' for m in api.modules()]
    return '\n## Contents\n\n' + '\n'.join(toctree(c, e) for c, e in groups.items() if e)


def math_font(path):
    "The part of STIX Two Math (SIL Open Font License) that formulas need"
    import ziamath
    from fontTools import subset

    features = ['ssty', 'dtls', 'flac']
    options = subset.Options(flavor='woff', layout_features=features, name_IDs=['*'])
    whole = Path(ziamath.__file__).parent / 'fonts/STIXTwoMath-Regular.ttf'
    font = subset.load_font(whole, options)
    part = subset.Subsetter(options)
    part.populate(unicodes=GLYPHS)
    part.subset(font)
    subset.save_font(font, path, options)


def write_pages(site):
    "The pages of notebooks and Markdown files; README.md comes from its notebook"
    for path, page in site.pages.items():
        if path.endswith('.ipynb'):
            site.notebook(path)
        elif path != 'README.md':
            site.write(page, site.markdown((ROOT / path).read_text(), path, page))


def run_sphinx(site, out):
    "HTML; a warning is an error"
    strict = ['-W', '--keep-going', '-q', '-j', '2']
    places = ['-c', ROOT / 'docs', '-D', f'html_extra_path={site.extra}', '-d', out / 'doctrees']
    words = [sys.executable, '-m', 'sphinx', '-b', 'html', *strict, *places]
    subprocess.run([*words, site.source, out / 'html'], check=True)


def build(out):
    "Write the sources, run Sphinx, check the pages; return what was found"
    shutil.rmtree(out, ignore_errors=True)
    site = Site(out / 'source', out / 'extra', api.symbols())
    site.extra.mkdir(parents=True)
    write_pages(site)
    api.write(site)
    math_font(site.extra / 'math.woff')
    with (site.source / 'index.md').open('a') as f:
        f.write(contents(site))
    run_sphinx(site, out)
    return check.check(out / 'html')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Build the site of presto_nb')
    parser.add_argument('--out', default=ROOT / 'docs/_build', type=Path)
    out = parser.parse_args().out.resolve()
    start = time.time()
    faults, counts = build(out)
    print(*faults, sep='\n')
    print(
        ', '.join(f'{n} {what}' for what, n in counts.items()),
        f'in {time.time() - start:.0f} s:',
        out / 'html/index.html',
    )
    sys.exit(bool(faults))
