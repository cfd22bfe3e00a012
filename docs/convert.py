"""Notebooks and Markdown files of the repository as MyST pages; nothing is executed, stored outputs are shown"""

import ast, base64, hashlib, html, os, re, shutil
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = re.compile(
    r'(^(`{3,}|~{3,}).*?^\2[ \t]*$|``.+?``|`[^`\n]+`)', re.M | re.S
)  # fenced blocks and inline code
LINK = re.compile(
    r'(!?)\[((?:[^][]|!?\[[^][]*\]\([^()]*\))*)\]\(([^()\s]+)\)'
)  # the text may hold a picture
NEEDS = dict(
    gpu='Runs on a GPU', slow='Takes longer than the tests allow', notest='Not run by the tests'
)


def read(path, hide=True):
    "A notebook's cells after nbdev's filters: no hidden cells, no directives (they stay in `directives_`)"
    from nbdev.process import NBProcessor
    from nbdev.processors import clean_magics, hide_, hide_line, rm_header_dash, strip_ansi

    p = NBProcessor(
        path,
        procs=[strip_ansi, hide_line, rm_header_dash, clean_magics] + [hide_] * hide,
        rm_directives=True,
    )
    p.process()
    return p.nb.cells


def exported(path):
    "For each exported definition of a notebook: (its name, with the class of a method; the cell's id; the lines of an assignment)"
    for c in read(path, hide=False):
        if c.cell_type != 'code' or not {'export', 'exports'} & set(c.directives_):
            continue
        lines = c.source.splitlines()
        for n in ast.parse(re.sub(r'^[%!].*', '', c.source, flags=re.M)).body:
            assigned = (
                '\n'.join(lines[n.lineno - 1 : n.end_lineno]) if isinstance(n, ast.Assign) else ''
            )
            names = (
                [n.name]
                if hasattr(n, 'name')
                else [
                    m.id
                    for t in getattr(n, 'targets', [])
                    for m in getattr(t, 'elts', [t])
                    if isinstance(m, ast.Name)
                ]
            )
            if any('patch' in ast.unparse(d) for d in getattr(n, 'decorator_list', [])):
                names = [
                    f'{cls}.{n.name}'
                    for cls in re.findall(r'\w+', ast.unparse(n.args.args[0].annotation))
                ]
            for name in names:
                yield name, c.id, assigned


def plain(md):
    "Markdown without its marks"
    md = re.sub(r'\$\$.*?\$\$', '', re.sub(r'!?\[([^]]*)\]\([^)]*\)', r'\1', md), flags=re.S)
    md = re.sub(
        r'\\([a-zA-Z]+)',
        lambda m: (
            ' '
            if re.fullmatch('text|math.*|operatorname|hat|tilde|left|right|[bB]ig|[td]?frac', m[1])
            else f' {m[1]} '
        ),
        md,
    )
    md = re.sub(r'[\\{}$`]|\*\*|(?<!\w)[*_]|[*_](?!\w)', '', md)
    return ' '.join(md.split())


def labels(source):
    "The titles and axis labels that the code of a figure gives"

    def texts(n):
        if isinstance(n, ast.JoinedStr):
            return [''.join(p.value if isinstance(p, ast.Constant) else '…' for p in n.values)]
        words = [
            m.value for m in ast.walk(n) if isinstance(m, ast.Constant) and isinstance(m.value, str)
        ]
        return (
            words if isinstance(n, ast.Constant) else [w for w in words if ' ' in w]
        )  # of an expression, not the keys it looks up

    kw = ('title', 'xlabel', 'ylabel')
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    found = [k.value for n in calls for k in n.keywords if k.arg in kw] + [
        n.args[0] for n in calls if n.args and re.search(r'title$|_[xy]label$', ast.unparse(n.func))
    ]
    return [
        t for t in dict.fromkeys(plain(t) for n in found for t in texts(n)) if re.search(r'\w', t)
    ]


def alt_text(cell, heading, prose):
    "What a figure shows: `#| fig-alt:` where the cell has one, else heading, the sentences that lead to it, and the labels in its code"
    if said := cell.directives_.get('fig-alt'):
        return said
    said = [
        s for s in re.split(r'(?<=[.:!?]) +(?=[A-Z*])', plain(prose)) if re.search(r'\w{2}', s)
    ][-2:]
    if not said and not labels(cell.source):
        raise SystemExit(
            f'a figure in cell {cell.id} has no words above it and no labels: give it `#| fig-alt: what it shows`'
        )
    drawn = f" Labels: {'; '.join(labels(cell.source))}." if labels(cell.source) else ''
    heading += '' if heading.endswith(('?', '!')) else '.'
    return f"{heading} {' '.join(said)}".rstrip(' :.,') + '.' + drawn


def no_headings(md):
    "Markdown that a cell shows: its headings are bold lines, not sections of the page"
    return re.sub(
        r'(?ms)^```.*?^```|^#{1,6} +([^\n]+)', lambda m: f'**{m[1]}**' if m[1] else m[0], md
    )


class Site:
    "What is known of all pages while they are written"

    def __init__(self, source, extra, symbols):
        self.source, self.extra, self.symbols = (
            source,
            extra,
            symbols,
        )  # folders; name -> full names

    @cached_property
    def pages(self):
        "Path in the repository -> page, in the order of reading"
        books = sorted(
            p for p in (ROOT / 'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts
        )
        return {
            b.relative_to(ROOT).as_posix(): b.relative_to(ROOT / 'nbs').with_suffix('').as_posix()
            for b in books
        } | {p.name: 'index' if p.stem == 'README' else p.stem for p in sorted(ROOT.glob('*.md'))}

    @cached_property
    def paths(self):
        return {page: path for path, page in self.pages.items()}

    def file(self, path):
        "Copy a file of the repository, or a folder with a page that lists it; return where the site has it"
        if (ROOT / path).is_dir():
            names = sorted(
                f.relative_to(ROOT).as_posix() for f in (ROOT / path).iterdir() if f.is_file()
            )
            rows = ''.join(
                f'<li><a href="{os.path.relpath(self.file(n), os.path.dirname(path))}">{Path(n).name}</a></li>\n'
                for n in names
            )
            self.write(path, f'---\norphan: true\n---\n# {path}\n\n<ul>\n{rows}</ul>\n')
            return path + '.html'
        (self.extra / 'files' / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, self.extra / 'files' / path)
        return f'files/{path}'

    def write(self, page, text):
        out = self.source / f'{page}.md'
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)

    def link(self, m, path, page):
        "A Markdown link whose target is relative to the file `path`, for the page"
        bang, text, target = m[1], LINK.sub(lambda i: self.link(i, path, page), m[2]), m[3]
        if re.match(r'\w+:|#', target):
            return m[0]
        target, _, anchor = target.partition('#')
        inside = os.path.relpath((ROOT / path).parent / target, ROOT)
        if inside.startswith('..') or not (ROOT / inside).exists():
            raise SystemExit(f'{path}: dead link {target}')
        here = os.path.dirname(page) or '.'
        if inside in self.pages:
            return f'[{text}]({os.path.relpath(self.pages[inside], here)}.md{"#" * bool(anchor)}{anchor})'
        url = os.path.relpath(self.file(inside), here)
        return (
            f'<img src="{url}" alt="{html.escape(text)}">'
            if bang
            else f'<a href="{url}">{text}</a>'
        )

    def code(self, s, module):
        "Inline code that names an exported symbol becomes a link to it"
        name = re.fullmatch(r'`(?:presto_nb\.)?([\w.]+?)(?:\(\))?`', s)
        full = name and self.symbols.get(name[1])
        return (
            f'{{py:obj}}{s[:-1]} <{next((f for f in full if f".{module}." in f), full[0])}>`'
            if full
            else s
        )

    def markdown(self, md, path, page):
        "Links between files become links between pages, names become links to the API"
        parts, module = CODE.split(md)[::1], re.sub(r'^\d+_', '', Path(path).stem)
        texts, codes = parts[::3], parts[1::3]  # the pattern's inner group is every third part
        held = '\0'.join(texts)  # so that `code` may stand inside a link's text
        held = LINK.sub(lambda m: self.link(m, path, page), held)
        linked = {
            held[: m.start()].count('\0') + k
            for m in re.finditer(r'\[[^][]*\]\([^)]*\)|^#.*|<a .*?</a>', held, re.M)
            for k in range(m[0].count('\0'))
        }
        out = held.split('\0')
        return ''.join(
            t + (c if i in linked else self.code(c, module))
            for i, (t, c) in enumerate(zip(out, codes + ['']))
        )

    def diagram(self, text, page, words):
        "A mermaid diagram, drawn beforehand"
        name = f'diagrams/{hashlib.sha256(text.encode()).hexdigest()[:12]}.svg'
        if not (ROOT / 'docs' / name).exists():
            raise SystemExit(f'{page}: a mermaid diagram is not drawn yet: node docs/diagrams.mjs')
        (self.extra / 'diagrams').mkdir(exist_ok=True)
        shutil.copy(ROOT / 'docs' / name, self.extra / name)
        boxes = ', '.join(
            dict.fromkeys(
                plain(b)
                for b in re.findall(r'[\[(]+"?([^][()"]*(?:\([^()"]*\))?[^][()"]*)"?[\])]+', text)
            )
        )
        return picture(name, page, f"{words}. Diagram of {boxes}", kind='diagram')

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
            name = f'img/{page.replace("/", "-")}-{n}.png'
            (self.extra / 'img').mkdir(exist_ok=True)
            png = base64.b64decode(data['image/png'])
            (self.extra / name).write_bytes(png)
            w, h = (int.from_bytes(png[i : i + 4], 'big') for i in (16, 20))
            return picture(name, page, alt_text(cell, *words), f' width="{w}" height="{h}"')
        if 'text/markdown' in data:
            return self.markdown(no_headings(data['text/markdown']), self.paths[page], page)
        return fence('output', data.get('text/plain', ''))

    def notebook(self, path):
        "Write the page of a notebook"
        page, out, heading, prose, n = self.pages[path], [], '', '', 0
        names = {c for _, c, _ in exported(ROOT / path)}
        for c in read(ROOT / path):
            if c.cell_type == 'markdown':
                drawn = re.sub(
                    r'^```mermaid\n(.*?)^```',
                    lambda m: self.diagram(m[1], page, heading),
                    self.markdown(c.source, path, page),
                    flags=re.M | re.S,
                )
                out.append(drawn)
                if heads := re.findall(r'^#+ +(.+)', c.source, re.M):
                    heading = plain(heads[-1])
                paragraphs = [
                    p
                    for p in re.split(
                        r'\n\s*\n',
                        re.sub(
                            r'^#+ .*|^\|.*',
                            '',
                            CODE.sub(lambda m: '' if m[2] else m[0], c.source),
                            flags=re.M,
                        ),
                    )
                    if p.strip()
                ]
                prose = paragraphs[-1] if paragraphs else prose if not heads else ''
            elif c.cell_type == 'code' and c.source.strip():
                note = [NEEDS[d] for d in c.directives_ if d in NEEDS]
                out.append(
                    (f'(cell-{c.id})=\n' if c.id in names else '')
                    + fence('{code-block} python', c.source, note[0] if note else '')
                )
                for o in c.get('outputs', []):
                    out.append(self.output(o, c, page, n := n + 1, (heading, prose)))
        self.write(page, '\n\n'.join(o for o in out if o) + '\n')


def picture(name, page, alt, size='', kind='shown'):
    src = os.path.relpath(name, os.path.dirname(page) or '.')
    return f'``````{{raw}} html\n<div class="{kind}"><img class="figure" loading="lazy"{size} src="{src}" alt="{html.escape(alt)}"></div>\n``````\n'


def fence(kind, text, caption=''):
    "A block of code or of printed output"
    kind, options = (
        ('{code-block} text', ':class: output\n')
        if kind == 'output'
        else (kind, f':caption: {caption}\n' if caption else '')
    )
    return f'``````{kind}\n{options}\n{text.rstrip()}\n``````\n' if text.strip() else ''
