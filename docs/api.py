"""The API pages

For every exported symbol its signature, its docstring, a table of its arguments with shapes and
units, and a link to its source.
"""

import importlib
import inspect
import re
from functools import cached_property

from convert import ROOT, exported, fence
from fastcore.docments import docments


def modules():
    "Module name without `presto_nb.` -> its notebook, the method first"
    found = {}
    for book in sorted((ROOT / 'nbs').rglob('[0-9][0-9]_*.ipynb')):
        path = book.relative_to(ROOT / 'nbs').with_name(f'{book.stem[3:]}.py')
        if (ROOT / 'presto_nb' / path).exists():
            found['.'.join(path.with_suffix('').parts)] = book
    return found


def owners(module, name):
    "The exported classes that a class belongs to: itself, or those it is a private part of"
    if not name.startswith('_'):
        return [name]
    part = getattr(module, name, None)
    classes = {n: getattr(module, n) for n in module.__all__}
    return [n for n, c in classes.items() if isinstance(c, type) and part in c.__mro__]


def public_methods(module):
    "Class.method of a module, in the order of the notebook"
    from presto_nb._modidx import d

    mod = importlib.import_module(f'presto_nb.{module}')
    found = {}
    for full in d['syms'][f'presto_nb.{module}']:
        cls, _, attr = full.removeprefix(f'presto_nb.{module}.').partition('.')
        if attr and not attr.split('.')[-1].startswith('_'):
            found |= dict.fromkeys(f'{owner}.{attr}' for owner in owners(mod, cls))
    return list(found)


def object_of(module, name):
    "What a name stands for; of a property the property itself"
    cls, _, attr = name.partition('.')
    o = getattr(module, cls)
    if not attr:
        return o
    static = inspect.getattr_static(o, attr)
    return static if isinstance(static, (property, cached_property)) else getattr(o, attr)


def members(module):
    "The exported symbols of a module and their public methods, as (name, the object itself)"
    mod = importlib.import_module(f'presto_nb.{module}')
    top = list(mod.__all__)
    methods = public_methods(module)
    names = []
    for name in top:
        names += [name, *(m for m in methods if m.startswith(name + '.'))]
    names += [m for m in methods if m.split('.')[0] not in top]
    for name in names:
        yield name, object_of(mod, name)


def symbols():
    "Every name a reader may use for a symbol -> the full names it may stand for"
    found = {}
    for m in modules():
        for n, _ in members(m):
            for name in {n, f'{m}.{n}', f'{m.split(".")[-1]}.{n}'}:
                found.setdefault(name, []).append(f'presto_nb.{m}.{n}')
    return found


def short(value, most=60):
    "A value as it may stand in a signature"
    if hasattr(value, 'shape'):
        return f'tensor{list(value.shape)}'
    text = getattr(value, '__name__', None) or re.sub(r' at 0x[0-9a-f]+', '', repr(value))
    return text if len(text) <= most else text[: most - 1] + '…'


def bare(o):
    "The function behind a method, a property or a cache"
    if isinstance(o, property):
        o = o.fget
    elif isinstance(o, cached_property):
        o = o.func
    return inspect.unwrap(getattr(o, '__func__', o))


def parameters(f):
    "The parameters of a function or class, without `self`; an exception has none"
    try:
        return {
            n: p for n, p in inspect.signature(f).parameters.items() if n not in ('self', 'cls')
        }
    except ValueError:
        return {}


def in_cell(text):
    "As it may stand in a table"
    return re.sub(r'\s+', ' ', str(text)).replace('|', '\\|')


def type_text(annotation):
    "An annotation as code"
    if annotation is inspect._empty:
        return ''
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return f'`{text}`'


def table_row(name, p, given):  # docment; the parameter itself, if it is one
    "Name, type, default, meaning; nothing for what needs no row"
    kind = type_text(given.annotation if given else p.anno)
    doc = p.docment if isinstance(p.docment, str) else ''
    if name in ('self', 'cls') or (name == 'return' and not (kind or doc)):
        return None
    if name in ('args', 'kw', 'kwargs') and not doc:
        return None
    default = '' if p.default is inspect._empty else f'`{short(p.default)}`'
    shown = '**returns**' if name == 'return' else f'`{name}`'
    return shown, in_cell(kind), in_cell(default), in_cell(doc)


def table(o):
    "Arguments and result: name, type, default, and the comment that stands beside it in the source"
    given = parameters(o)
    rows = [table_row(name, p, given.get(name)) for name, p in docments(o, full=True).items()]
    rows = [r for r in rows if r]
    if not rows:
        return ''
    used = [i for i in range(4) if any(r[i] for r in rows)]
    head = ('', 'type', 'default', 'meaning, shape, unit')
    lines = [' | '.join(r[i] for i in used) for r in [head, ('---',) * 4] + rows]
    return ''.join(f'| {line} |\n' for line in lines)


def kind_of(name, f, prop, call):
    "What Sphinx calls a symbol"
    if prop:
        return 'attribute'
    if not call:
        return 'data'
    if inspect.isclass(f):
        return 'class'
    return 'method' if '.' in name else 'function'


def argument(p):
    "A parameter as it stands in a signature"
    bare_one = str(p.replace(annotation=inspect._empty, default=inspect._empty))
    return bare_one + (f'={short(p.default, 30)}' if p.default is not inspect._empty else '')


def value_text(name, o, assigned):
    "The code that assigns a value, or what it is where that is long"
    if len(assigned) >= 800:
        assigned = f'{name.split()[0]} = ...  # a {type(o).__name__} of {len(o)}'
    return fence('{code-block} python', assigned)


def without_comments(doc):
    "A docstring without what nbdev-export adds to it: the table says that"
    return re.split(r'\n\n(?:Args|Returns):\n', doc or '')[0]


def entry(module, name, o, cell, assigned):
    "The entry of one symbol"
    f = bare(o)
    prop = isinstance(o, (property, cached_property))
    call = (inspect.isroutine(f) or inspect.isclass(f)) and not prop
    kind = kind_of(name, f, prop, call)
    doc = without_comments(inspect.getdoc(f)) if call or prop else value_text(name, o, assigned)
    if not doc:
        raise SystemExit(f'presto_nb.{module}.{name} has no docstring')
    *others, last = name.split()
    args = ', '.join(argument(p) for p in parameters(f).values()) if call else ''
    sig = f'{name}({args})' if call else last
    options = ':classmethod:\n' if inspect.ismethod(o) else ''
    before = ''.join(f'```{{py:{kind}}} {n}\n```\n' for n in others)
    body = f'{options}\n{doc}\n\n{table(f) if call else ""}\n[source](#cell-{cell})\n'
    return f'{before}````````{{py:{kind}}} {sig}\n{body}````````\n'


def write(site):
    "One page a module, and their index"
    for module, book in modules().items():
        where = {n: (c, code) for n, c, code in exported(book)}
        mod = importlib.import_module(f'presto_nb.{module}')
        page = f'api/{module}'
        out = [
            f'# {module}',
            f'{mod.__doc__}. Taught in [{book.stem}]({book.name}).',
            f'```{{py:module}} presto_nb.{module}\n```',
            f'```{{py:currentmodule}} presto_nb.{module}\n```',
        ]
        together = {}  # names that one line assigns share an entry
        for name, o in members(module):
            cell, assigned = where.get(name) or where[name.split('.')[0]]
            names, _ = together.setdefault((cell, assigned or name), ([], o))
            names.append(name)
        out += [
            entry(module, ' '.join(names), o, cell, assigned)
            for (cell, assigned), (names, o) in together.items()
        ]
        site.write(page, site.markdown('\n\n'.join(out), book.relative_to(ROOT).as_posix(), page))
