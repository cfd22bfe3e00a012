"""Write settings.ini from pyproject.toml.

    python docs/make_settings.py

pyproject.toml is the one truth (nbdev 3 reads it); settings.ini stands beside it for the tools and
readers that look for it.
"""

import configparser
import io
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = (
    '# Made from pyproject.toml by docs/make_settings.py; '
    'change that file, then run this command again.\n'
)


def version():
    "Of the package"
    return re.search(r'__version__ = "([^"]+)"', (ROOT / 'presto_nb/__init__.py').read_text())[1]


def spaced(deps):
    "Dependencies in one line"
    return ' '.join(d.replace(' ', '') for d in deps)


def fields():
    "The fields of settings.ini, as {name: value}"
    t = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    p = t['project']
    n = t['tool']['nbdev']
    out = dict(
        repo=n['repo'],
        lib_name=p['name'],
        user=n['user'],
        author=n['author'],
        author_email=n['author_email'],
        version=version(),
        description=p['description'],
        keywords=' '.join(k.replace(' ', '-') for k in p['keywords']),
        license='apache2',
        min_python=re.search(r'[\d.]+', p['requires-python'])[0],
        language='English',
        nbs_path=n['nbs_path'],
        lib_path=n['lib_path'],
        tst_flags=n['tst_flags'],
        requirements=spaced(p['dependencies']),
        console_scripts=' '.join(f'{k}={v}' for k, v in p['scripts'].items()),
    )
    return out | {f'{k}_requirements': spaced(v) for k, v in p['optional-dependencies'].items()}


def text():
    "The file"
    c = configparser.ConfigParser(interpolation=None)
    s = io.StringIO()
    c['DEFAULT'] = fields()
    c.write(s)
    return NOTE + s.getvalue().rstrip() + '\n'


if __name__ == '__main__':
    (ROOT / 'settings.ini').write_text(text())
