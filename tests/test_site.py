"The site builds without a warning, holds every exported symbol, and its pages need no network"

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / 'docs'))
for name in ('sphinx', 'myst_parser', 'furo', 'latex2mathml', 'ziamath', 'nbdev'):
    pytest.importorskip(name, reason=f"the site needs {name}: pip install 'presto_nb[docs]'")
import check


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp('site')
    r = subprocess.run(
        [sys.executable, str(ROOT / 'docs/build.py'), '--out', str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
    )
    said = (r.stdout + r.stderr)[-4000:]
    assert r.returncode == 0, said  # dead links and wordless pictures fail it too
    assert 'WARNING' not in r.stderr, said
    return out / 'html'


@pytest.mark.timeout(900)  # under a minute on two free cores
def test_pages(site):
    faults, n = check.check(site)
    assert not faults and n['images'] > 100 and n['links'] > 1000, (faults[:9], n)
    books = {b.stem for b in (ROOT / 'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in b.parts}
    assert not books - {p.stem for p in site.rglob('*.html')}
    assert '"alltitles"' in (site / 'searchindex.js').read_text().replace(
        'alltitles:', '"alltitles":'
    )
    assert (site / 'search.html').exists()
    texts = {p: p.read_text() for p in site.rglob('*.html')}
    shown = [
        p.name
        for p, t in texts.items()
        if re.search(r'#\| ?(export|hide|eval)', re.sub(r'<[^>]+>', '', t))
        and 'CONTRIBUTING' not in p.name
    ]
    assert not shown, f'directives are shown: {shown}'


def test_every_exported_symbol_is_explained(site):
    from presto_nb._modidx import d

    for module in d['syms']:
        page = (site / f'api/{module.removeprefix("presto_nb.")}.html').read_text()
        mod = importlib.import_module(module)
        missing = [n for n in mod.__all__ if f'id="{module}.{n}"' not in page]
        assert not missing, (module, missing)
        assert page.count('cell-') >= 1 and page.count('>source<') >= 1, module


def names_in_prose(book):
    "What stands in backticks, but not in headings, links and blocks of code"
    names = set()
    for c in json.loads(book.read_text())['cells']:
        if c['cell_type'] == 'markdown':
            other = r'^```.*?^```|^#[^\n]*|\[[^]]*\]\([^)]*\)'
            prose = re.sub(other, '', ''.join(c['source']), flags=re.M | re.S)
            names |= set(re.findall(r'(?<!`)`(\w+)`(?!`)', prose))
    return names


def test_names_in_prose_are_links(site):
    "A name in backticks that is exported leads to its entry, on every page of a chapter"
    from presto_nb._modidx import d

    full = {}
    for module in d['syms']:
        for n in importlib.import_module(module).__all__:
            full.setdefault(n, []).append(
                f'api/{module.removeprefix("presto_nb.")}.html#{module}.{n}"'
            )
    found = 0
    floors = '.', 'material', 'evidence', 'labs', 'tools'
    for book in sorted(b for f in floors for b in (ROOT / 'nbs' / f).glob('*.ipynb')):
        page = (site / book.relative_to(ROOT / 'nbs').with_suffix('.html')).read_text()
        for name in names_in_prose(book) & full.keys():
            found += 1
            assert any(f in page for f in full[name]), (book.name, name)
    assert found > 150


def test_an_entry_leads_to_its_source(site):
    api = (site / 'api/edm.html').read_text()
    entry = api[api.index('id="presto_nb.edm.scalings"') :]
    cell = re.search(r'href="\.\./10_edm\.html#(cell-\w+)"', entry)[1]
    page = (site / '10_edm.html').read_text()
    assert 'scalings' in page[page.index(f'id="{cell}"') :][:1500]
    assert 'noise level' in entry[:3000]
    assert '<table' in entry[:3000]


def test_the_variance_lab_moves_without_python(site):
    page = (site / 'labs/71_variance_lab.html').read_text()
    assert page.count('type="range"') == page.count('<label><strong>') >= 1
    assert page.count('data-frame="4"') >= 1
    assert 'widget-view' not in page


FAULTY = """<p id="here">
<a href="#here">1</a><a href="#gone">2</a><a href="b.html">3</a>
<a href="https://example.org/x">4</a><a href="http:///x">5</a>
<img src="data:," alt=""><img src="https://example.org/x.png" alt="x">
<script src="//example.org/x.js"></script>"""


def test_the_check_finds_faults(tmp_path):
    (tmp_path / 'a.html').write_text(FAULTY)
    (tmp_path / 's.css').write_text('@font-face { src: url("https://example.org/f.woff") }')
    faults, n = check.check(tmp_path)
    said = '\n'.join(faults)
    assert len(faults) == 7, said
    for part in (
        'no anchor #gone',
        'dead link b.html',
        'no address http:///x',
        'no alternative text',
        'loads https://example.org/x.png',
        'loads //example.org/x.js',
        's.css',
    ):
        assert part in said, part


def test_what_a_cell_shows_adds_no_section(site):
    from convert import no_headings

    assert (
        no_headings('# Card\n\n```python\n# not a heading\n```\n## Parts')
        == '**Card**\n\n```python\n# not a heading\n```\n**Parts**'
    )
    side = re.search(
        r'<div class="sidebar-tree">(.*?)</div>', (site / 'index.html').read_text(), re.S
    )[1]
    assert '>Model cards<' in re.sub(r'\d\d ', '', side) and '>tiny<' not in side
