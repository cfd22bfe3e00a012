"""Look at built pages: links and anchors lead somewhere, nothing is loaded from a network, every picture has words"""

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
        self.ids, self.links, self.wordless, self.images = set(), [], [], 0
        self.feed(path.read_text())
        self.close()

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a.get('id'), a.get('name')} - {None}
        if tag == 'img':
            self.images += 1
            if not (a.get('alt') or '').strip():
                self.wordless.append((a.get('src') or '')[:80])
        self.links += [
            (tag, k, v) for k, v in attrs if k in ('href', 'src', 'data', 'poster') and v
        ]


def check(html):
    "(Faults as sentences, counts) of the pages below the folder `html`"
    pages = {
        p.resolve(): Page(p) for p in sorted(Path(html).rglob('*.html')) if '_static' not in p.parts
    }
    faults, n = [], Counter(pages=len(pages))
    for path, page in pages.items():
        name = path.relative_to(Path(html).resolve())
        n['images'] += page.images
        faults += [f'{name}: no alternative text for {src}' for src in page.wordless]
        for tag, key, url in page.links:
            u = urlsplit(url)
            n['links'] += tag == 'a'
            if u.scheme == 'data':
                continue
            if u.scheme or u.netloc:
                if (tag, key) in LOADS:
                    faults.append(f'{name}: loads {url[:80]}')
                elif (
                    u.scheme not in ('http', 'https', 'mailto')
                    or u.scheme != 'mailto'
                    and not u.netloc
                    or ' ' in url
                ):
                    faults.append(f'{name}: no address {url[:80]}')
                continue
            target = (path.parent / unquote(u.path)).resolve() if u.path else path
            if not target.exists():
                faults.append(f'{name}: dead link {url[:80]}')
            elif u.fragment and target in pages and unquote(u.fragment) not in pages[target].ids:
                faults.append(f'{name}: no anchor {url[:80]}')
    for css in Path(html).rglob('*.css'):
        if 'url(http' in (s := css.read_text()).replace('"', '').replace("'", '') or '@import' in s:
            faults.append(f'{css.name}: loads from a network')
    return faults, dict(n)
