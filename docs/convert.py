"""Notebooks and Markdown files of the repository as MyST pages; nothing is executed"""

import ast
import base64
import hashlib
import html
import os
import re
import shutil
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# fenced blocks and inline code
CODE = re.compile(r'(^(`{3,}|~{3,}).*?^\2[ \t]*$|``.+?``|`[^`\n]+`)', re.M | re.S)
# the text of a link may hold a picture
LINK = re.compile(r'(!?)\[((?:[^][]|!?\[[^][]*\]\([^()]*\))*)\]\(([^()\s]+)\)')
NEEDS = dict(
    gpu='Runs on a GPU', slow='Takes longer than the tests allow', notest='Not run by the tests'
)


def read(path, hide=True):
    "A notebook's cells after nbdev's filters: no hidden ones, directives in `directives_` alone"
    from nbdev.process import NBProcessor
    from nbdev.processors import clean_magics, hide_, hide_line, rm_header_dash, strip_ansi

    procs = [strip_ansi, hide_line, rm_header_dash, clean_magics] + [hide_] * hide
    p = NBProcessor(path, procs=procs, rm_directives=True)
    p.process()
    return p.nb.cells


def targets(node):
    "The names that an assignment gives"
    flat = [m for t in getattr(node, 'targets', []) for m in getattr(t, 'elts', [t])]
    return [m.id for m in flat if isinstance(m, ast.Name)]


def defined(node):
    "The names that a statement defines; a patched method has its class before it"
    if any('patch' in ast.unparse(d) for d in getattr(node, 'decorator_list', [])):
        classes = re.findall(r'\w+', ast.unparse(node.args.args[0].annotation))
        return [f'{cls}.{node.name}' for cls in classes]
    return [node.name] if hasattr(node, 'name') else targets(node)


def exported(path):
    "(name, the cell's id, the lines of an assignment) of each exported definition of a notebook"
    for c in read(path, hide=False):
        if c.cell_type != 'code' or not {'export', 'exports'} & set(c.directives_):
            continue
        lines = c.source.splitlines()
        for node in ast.parse(re.sub(r'^[%!].*', '', c.source, flags=re.M)).body:
            own = lines[node.lineno - 1 : node.end_lineno]
            for name in defined(node):
                yield name, c.id, '\n'.join(own) if isinstance(node, ast.Assign) else ''


WORDLESS = 'text|math.*|operatorname|hat|tilde|left|right|[bB]ig|[td]?frac'  # of LaTeX


def command_word(m):
    "What a command of LaTeX says"
    return ' ' if re.fullmatch(WORDLESS, m[1]) else f' {m[1]} '


def plain(md):
    "Markdown without its marks"
    md = re.sub(r'!?\[([^]]*)\]\([^)]*\)', r'\1', md)
    md = re.sub(r'\$\$.*?\$\$', '', md, flags=re.S)
    md = re.sub(r'\\([a-zA-Z]+)', command_word, md)
    md = re.sub(r'[\\{}$`]|\*\*|(?<!\w)[*_]|[*_](?!\w)', '', md)
    return ' '.join(md.split())


def texts_in(node):
    "The texts of an expression; of one that computes, not the keys it looks up"
    if isinstance(node, ast.JoinedStr):
        return [''.join(p.value if isinstance(p, ast.Constant) else '…' for p in node.values)]
    constants = [m.value for m in ast.walk(node) if isinstance(m, ast.Constant)]
    words = [value for value in constants if isinstance(value, str)]
    return words if isinstance(node, ast.Constant) else [w for w in words if ' ' in w]


def is_label(call):
    "Does a call set a title or an axis label?"
    return call.args and re.search(r'title$|_[xy]label$', ast.unparse(call.func))


def labels(source):
    "The titles and axis labels that the code of a figure gives"
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    named = ('title', 'xlabel', 'ylabel')
    found = [k.value for n in calls for k in n.keywords if k.arg in named]
    found += [n.args[0] for n in calls if is_label(n)]
    texts = dict.fromkeys(plain(t) for n in found for t in texts_in(n))
    return [t for t in texts if re.search(r'\w', t)]


def alt_text(cell, heading, prose):
    """What a figure shows

    `#| fig-alt:` where the cell has one, else heading, the sentences that lead to it, and the
    labels in its code."""
    if said := cell.directives_.get('fig-alt'):
        return said
    sentences = re.split(r'(?<=[.:!?]) +(?=[A-Z*])', plain(prose))
    said = [s for s in sentences if re.search(r'\w{2}', s)][-2:]
    own = labels(cell.source)
    if not said and not own:
        raise SystemExit(
            f'a figure in cell {cell.id} has no words above it and no labels: '
            'give it `#| fig-alt: what it shows`'
        )
    drawn = f" Labels: {'; '.join(own)}." if own else ''
    heading += '' if heading.endswith(('?', '!')) else '.'
    return f"{heading} {' '.join(said)}".rstrip(' :.,') + '.' + drawn


def no_headings(md):
    "Markdown that a cell shows: its headings are bold lines, not sections of the page"
    headings = r'(?ms)^```.*?^```|^#{1,6} +([^\n]+)'
    return re.sub(headings, lambda m: f'**{m[1]}**' if m[1] else m[0], md)


def in_links(held):
    "Which pieces of code, that zeros stand for, are inside links and headings"
    numbers = set()
    for m in re.finditer(r'\[[^][]*\]\([^)]*\)|^#.*|<a .*?</a>', held, re.M):
        first = held[: m.start()].count('\0')
        numbers |= set(range(first, first + m[0].count('\0')))
    return numbers


def last_paragraph(md):
    "The words of a cell that stand last; no headings, tables and code"
    md = CODE.sub(lambda m: '' if m[2] else m[0], md)
    md = re.sub(r'^#+ .*|^\|.*', '', md, flags=re.M)
    return ([p for p in re.split(r'\n\s*\n', md) if p.strip()] or [''])[-1]


class Site:
    "What is known of all pages while they are written"

    def __init__(
        self,
        source,  # folder of the pages
        extra,  # folder of pictures and files
        symbols,  # name -> full names
    ):
        self.source = source
        self.extra = extra
        self.symbols = symbols

    @cached_property
    def pages(self):
        "Path in the repository -> page, in the order of reading"
        found = {}
        for book in sorted((ROOT / 'nbs').rglob('*.ipynb')):
            if '.ipynb_checkpoints' not in book.parts:
                page = book.relative_to(ROOT / 'nbs').with_suffix('').as_posix()
                found[book.relative_to(ROOT).as_posix()] = page
        for p in sorted(ROOT.glob('*.md')):
            found[p.name] = 'index' if p.stem == 'README' else p.stem
        return found

    @cached_property
    def paths(self):
        "Page -> path in the repository"
        return {page: path for path, page in self.pages.items()}

    def folder(self, path):
        "A page that lists a folder; return where the site has it"
        names = [f.relative_to(ROOT).as_posix() for f in (ROOT / path).iterdir() if f.is_file()]
        rows = ''
        for name in sorted(names):
            url = os.path.relpath(self.file(name), os.path.dirname(path))
            rows += f'<li><a href="{url}">{Path(name).name}</a></li>\n'
        self.write(path, f'---\norphan: true\n---\n# {path}\n\n<ul>\n{rows}</ul>\n')
        return path + '.html'

    def file(self, path):
        "Copy a file of the repository, or write the page of a folder; return where the site has it"
        if (ROOT / path).is_dir():
            return self.folder(path)
        (self.extra / 'files' / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, self.extra / 'files' / path)
        return f'files/{path}'

    def write(self, page, text):
        "A page of the site"
        out = self.source / f'{page}.md'
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)

    def link(self, m, path, page):
        "A Markdown link whose target is relative to the file `path`, for the page"
        text = LINK.sub(lambda i: self.link(i, path, page), m[2])
        if re.match(r'\w+:|#', m[3]):
            return m[0]
        target, _, anchor = m[3].partition('#')
        inside = os.path.relpath((ROOT / path).parent / target, ROOT)
        if inside.startswith('..') or not (ROOT / inside).exists():
            raise SystemExit(f'{path}: dead link {target}')
        here = os.path.dirname(page) or '.'
        if inside in self.pages:
            place = os.path.relpath(self.pages[inside], here)
            return f'[{text}]({place}.md{"#" * bool(anchor)}{anchor})'
        url = os.path.relpath(self.file(inside), here)
        if m[1]:
            return f'<img src="{url}" alt="{html.escape(text)}">'
        return f'<a href="{url}">{text}</a>'

    def code(self, s, module):
        "Inline code that names an exported symbol becomes a link to it"
        name = re.fullmatch(r'`(?:presto_nb\.)?([\w.]+?)(?:\(\))?`', s)
        full = name and self.symbols.get(name[1])
        if not full:
            return s
        near = [f for f in full if f'.{module}.' in f]
        return f'{{py:obj}}{s[:-1]} <{(near or full)[0]}>`'

    def markdown(self, md, path, page):
        "Links between files become links between pages, names become links to the API"
        parts = CODE.split(md)
        module = re.sub(r'^\d+_', '', Path(path).stem)
        held = '\0'.join(parts[::3])  # so that `code` may stand inside a link's text
        held = LINK.sub(lambda m: self.link(m, path, page), held)
        linked = in_links(held)
        codes = parts[1::3] + ['']  # the pattern's inner group is every third part
        out = ''
        for i, (text, code) in enumerate(zip(held.split('\0'), codes)):
            out += text + (code if i in linked else self.code(code, module))
        return out

    def diagram(self, text, page, words):
        "A mermaid diagram, drawn beforehand"
        name = f'diagrams/{hashlib.sha256(text.encode()).hexdigest()[:12]}.svg'
        if not (ROOT / 'docs' / name).exists():
            raise SystemExit(f'{page}: a mermaid diagram is not drawn yet: node docs/diagrams.mjs')
        (self.extra / 'diagrams').mkdir(exist_ok=True)
        shutil.copy(ROOT / 'docs' / name, self.extra / name)
        boxes = re.findall(r'[\[(]+"?([^][()"]*(?:\([^()"]*\))?[^][()"]*)"?[\])]+', text)
        drawn = ', '.join(dict.fromkeys(plain(b) for b in boxes))
        return picture(name, page, f'{words}. Diagram of {drawn}', kind='diagram')

    def image(self, data, cell, page, n, words):
        "A stored picture"
        name = f'img/{page.replace("/", "-")}-{n}.png'
        (self.extra / 'img').mkdir(exist_ok=True)
        png = base64.b64decode(data)
        (self.extra / name).write_bytes(png)
        w, h = (int.from_bytes(png[i : i + 4], 'big') for i in (16, 20))
        return picture(name, page, alt_text(cell, *words), f' width="{w}" height="{h}"')

    def output(self, o, cell, page, n, words):
        "One stored output"
        if o.output_type == 'stream':
            return fence('output', ''.join(o.text)) if o.name == 'stdout' else ''
        data = {k: ''.join(v) for k, v in o.get('data', {}).items()}
        if 'application/vnd.jupyter.widget-view+json' in data:
            raise SystemExit(f'{page}: cell {cell.id} stores a live widget: store its frames')
        if 'text/html' in data:
            return f'``````{{raw}} html\n<div class="rich">{data["text/html"]}</div>\n``````\n'
        if 'image/png' in data:
            return self.image(data['image/png'], cell, page, n, words)
        if 'text/markdown' in data:
            return self.markdown(no_headings(data['text/markdown']), self.paths[page], page)
        return fence('output', data.get('text/plain', ''))

    def prose(self, cell, path, page, heading):
        "A cell of Markdown, its diagrams drawn"
        md = self.markdown(cell.source, path, page)
        drawn = r'^```mermaid\n(.*?)^```'
        return re.sub(drawn, lambda m: self.diagram(m[1], page, heading), md, flags=re.M | re.S)

    def notebook(self, path):
        "Write the page of a notebook"
        page = self.pages[path]
        linked = {c for _, c, _ in exported(ROOT / path)}
        out = []
        words = '', ''  # the last heading, the last paragraph
        n = 0
        for c in read(ROOT / path):
            if c.cell_type == 'markdown':
                out.append(self.prose(c, path, page, words[0]))
                words = words_after(c.source, *words)
            elif c.cell_type == 'code' and c.source.strip():
                out.append(code_block(c, linked))
                for n, o in enumerate(c.get('outputs', []), n + 1):
                    out.append(self.output(o, c, page, n, words))
        self.write(page, '\n\n'.join(o for o in out if o) + '\n')


def words_after(md, heading, prose):
    "The last heading and the last paragraph after a cell of Markdown"
    heads = re.findall(r'^#+ +(.+)', md, re.M)
    if heads:
        return plain(heads[-1]), last_paragraph(md)
    return heading, last_paragraph(md) or prose


def code_block(cell, linked):
    "A cell of code, with an anchor where an entry of the API leads to it"
    note = [NEEDS[d] for d in cell.directives_ if d in NEEDS]
    anchor = f'(cell-{cell.id})=\n' if cell.id in linked else ''
    return anchor + fence('{code-block} python', cell.source, note[0] if note else '')


def picture(name, page, alt, size='', kind='shown'):
    "A picture as HTML"
    src = os.path.relpath(name, os.path.dirname(page) or '.')
    attributes = f'class="figure" loading="lazy"{size} src="{src}" alt="{html.escape(alt)}"'
    return f'``````{{raw}} html\n<div class="{kind}"><img {attributes}></div>\n``````\n'


def fence(kind, text, caption=''):
    "A block of code or of printed output"
    options = f':caption: {caption}\n' if caption else ''
    if kind == 'output':
        kind = '{code-block} text'
        options = ':class: output\n'
    return f'``````{kind}\n{options}\n{text.rstrip()}\n``````\n' if text.strip() else ''
