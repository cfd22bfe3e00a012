"""Build the site: python docs/build.py [--out docs/_build]

Notebooks and Markdown files become MyST pages (convert.py), the library's exported symbols API pages (api.py); Sphinx makes HTML of them, a warning
being an error, and check.py looks at what came out. The stored outputs are shown, nothing is executed; the pages load nothing from a network.
"""

import argparse, os, re, shutil, subprocess, sys, time
from pathlib import Path

os.environ.setdefault('MPLBACKEND', 'agg')
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / 'docs'), str(ROOT)]
import api, check
from convert import Site

CHAPTERS = {
    '1': 'A base model',
    '2': 'Fewer steps',
    '3': 'Cheaper steps',
    '4': 'Both',
}


def toctree(caption, entries):
    return (
        '```{toctree}\n:caption: ' + caption + '\n:maxdepth: 1\n\n' + '\n'.join(entries) + '\n```\n'
    )


def contents(site):
    "The lists of pages, in the order of reading"
    pages = [p for p in site.pages.values() if p != 'index']
    title = lambda p: re.search(r'^# (.+)', (site.source / f'{p}.md').read_text(), re.M)[1].replace(
        '`', ''
    )
    groups = {
        c: [f'{p[:2]} {title(p)} <{p}>' for p in pages if re.match(rf'{d}\d_', p)]
        for d, c in CHAPTERS.items()
    }
    for p in pages:
        folder = p.split('/')[0].capitalize() if '/' in p else 'More'
        if not re.match(r'\d\d_', p):
            groups.setdefault(folder, []).append(p)
    groups['API'] = [f'presto_nb.{m} <api/{m}>' for m in api.modules()]
    return '\n## Contents\n\n' + '\n'.join(toctree(c, e) for c, e in groups.items() if e)


def math_font(path):
    "The part of STIX Two Math (SIL Open Font License) that formulas need: with it they look the same everywhere"
    import ziamath
    from fontTools import subset

    options = subset.Options(
        flavor='woff', layout_features=['ssty', 'dtls', 'flac'], name_IDs=['*']
    )
    font = subset.load_font(
        Path(ziamath.__file__).parent / 'fonts/STIXTwoMath-Regular.ttf', options
    )
    part = subset.Subsetter(options)
    part.populate(
        unicodes=[
            *range(0x20, 0x180),
            *range(0x370, 0x400),
            *range(0x2000, 0x2300),
            *range(0x23DC, 0x23E2),
            *range(0x27E6, 0x27F0),
            *range(0x1D400, 0x1D800),
        ]
    )
    part.subset(font)
    subset.save_font(font, path, options)


def build(out):
    "Write the sources, run Sphinx, check the pages; return what was found"
    shutil.rmtree(out, ignore_errors=True)
    site = Site(out / 'source', out / 'extra', api.symbols())
    site.extra.mkdir(parents=True)
    for path in site.pages:
        if path.endswith('.ipynb'):
            site.notebook(path)
        elif path != 'README.md':
            site.write(
                site.pages[path], site.markdown((ROOT / path).read_text(), path, site.pages[path])
            )
    api.write(site)
    math_font(site.extra / 'math.woff')
    with (site.source / 'index.md').open('a') as f:
        f.write(contents(site))
    subprocess.run(
        [
            sys.executable,
            '-m',
            'sphinx',
            '-b',
            'html',
            '-W',
            '--keep-going',
            '-q',
            '-j',
            '2',
            '-c',
            ROOT / 'docs',
            '-D',
            f'html_extra_path={site.extra}',
            '-d',
            out / 'doctrees',
            site.source,
            out / 'html',
        ],
        check=True,
    )
    return check.check(out / 'html')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Build the site of presto_nb')
    parser.add_argument('--out', default=ROOT / 'docs/_build', type=Path)
    out, start = parser.parse_args().out.resolve(), time.time()
    faults, counts = build(out)
    print(*faults, sep='\n')
    print(
        ', '.join(f'{n} {what}' for what, n in counts.items()),
        f'in {time.time() - start:.0f} s:',
        out / 'html/index.html',
    )
    sys.exit(bool(faults))
