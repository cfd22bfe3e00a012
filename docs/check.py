"""Look at built pages: links and anchors lead somewhere, nothing is loaded, pictures have words"""

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    ('script', 'src'),
    ('link', 'href'),
    ('img', 'src'),
    ('audio', 'src'),
    ('video', 'src'),
    ('source', 'src'),
    ('iframe', 'src'),
    ('object', 'data'),
}


class Page(HTMLParser):
    "The ids and links of a page, and the pictures that have no words"

    def __init__(self, path):
        super().__init__()
        self.ids = set()
        self.links = []
        self.wordless = []
        self.images = 0
        self.feed(path.read_text())
        self.close()

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a.get('id'), a.get('name')} - {None}
        if tag == 'img':
            self.images += 1
            if not (a.get('alt') or '').strip():
                self.wordless.append((a.get('src') or '')[:80])
        leading = ('href', 'src', 'data', 'poster')
        self.links += [(tag, k, v) for k, v in attrs if k in leading and v]


def outside_fault(tag, key, url):
    "What is wrong with a link that leaves the site, or nothing"
    u = urlsplit(url)
    if (tag, key) in LOADS:
        return f'loads {url[:80]}'
    known = u.scheme in ('http', 'https', 'mailto')
    nowhere = u.scheme != 'mailto' and not u.netloc
    return f'no address {url[:80]}' if not known or nowhere or ' ' in url else ''


def inside_fault(path, url, pages):
    "What is wrong with a link inside the site, or nothing"
    u = urlsplit(url)
    target = (path.parent / unquote(u.path)).resolve() if u.path else path
    if not target.exists():
        return f'dead link {url[:80]}'
    missing = u.fragment and target in pages and unquote(u.fragment) not in pages[target].ids
    return f'no anchor {url[:80]}' if missing else ''


def link_fault(path, link, pages):
    "What is wrong with a link, or nothing"
    u = urlsplit(link[2])
    if u.scheme == 'data':
        return ''
    return outside_fault(*link) if u.scheme or u.netloc else inside_fault(path, link[2], pages)


def page_faults(path, page, pages):
    "What is wrong with a page"
    faults = [f'no alternative text for {src}' for src in page.wordless]
    return faults + list(filter(None, (link_fault(path, link, pages) for link in page.links)))


def style_faults(html):
    "Style sheets that load something"
    for css in Path(html).rglob('*.css'):
        text = css.read_text().replace('"', '').replace("'", '')
        if 'url(http' in text or '@import' in text:
            yield f'{css.name}: loads from a network'


def check(html):
    "(Faults as sentences, counts) of the pages below the folder `html`"
    files = [p for p in sorted(Path(html).rglob('*.html')) if '_static' not in p.parts]
    pages = {p.resolve(): Page(p) for p in files}
    faults = []
    n = Counter(pages=len(pages))
    for path, page in pages.items():
        name = path.relative_to(Path(html).resolve())
        n['images'] += page.images
        n['links'] += sum(tag == 'a' for tag, _, _ in page.links)
        faults += [f'{name}: {fault}' for fault in page_faults(path, page, pages)]
    return faults + list(style_faults(html)), dict(n)
