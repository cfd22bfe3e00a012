"""The API pages: for every exported symbol its signature, its docstring, a table of its arguments with shapes and units, a link to its source"""

import importlib, inspect, re
from functools import cached_property
from fastcore.docments import docments
from convert import ROOT, exported, fence


def modules():
    "Module name without `presto_nb.` -> its notebook, the method first"
    found = {}
    for book in sorted((ROOT / 'nbs').rglob('[0-9][0-9]_*.ipynb')):
        path = book.relative_to(ROOT / 'nbs').with_name(f'{book.stem[3:]}.py')
        if (ROOT / 'presto_nb' / path).exists():
            found['.'.join(path.with_suffix('').parts)] = book
    return found


def members(module):
    "The exported symbols of a module and their public methods, as (name, the object itself), in the order of the notebook"
    from presto_nb._modidx import d

    mod = importlib.import_module(f'presto_nb.{module}')
    top = list(mod.__all__)
    methods = [
        n
        for k in d['syms'][f'presto_nb.{module}']
        if '.' in (n := k.removeprefix(f'presto_nb.{module}.')) and not n.split('.')[-1].startswith('_')
    ]
    for name in top + [n for n in methods if n.split('.')[0] not in top]:
        for n in [name] + [m for m in methods if m.startswith(name + '.') and name in top]:
            cls, _, attr = n.partition('.')
            o = getattr(mod, cls)
            static = inspect.getattr_static(o, attr) if attr else o
            yield (
                n,
                static
                if isinstance(static, (property, cached_property))
                else getattr(o, attr)
                if attr
                else o,
            )


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
    return inspect.unwrap(
        getattr(
            o,
            '__func__',
            o.fget if isinstance(o, property) else o.func if isinstance(o, cached_property) else o,
        )
    )


def parameters(f):
    "The parameters of a function or class, without `self`; an exception has none"
    try:
        return {
            n: p for n, p in inspect.signature(f).parameters.items() if n not in ('self', 'cls')
        }
    except ValueError:
        return {}


def table(o):
    "Arguments and result: name, type, default, and the comment that stands beside it in the source"
    rows, cell = [], lambda s: re.sub(r'\s+', ' ', str(s)).replace('|', '\\|')
    for name, p in docments(o, full=True).items():
        given = parameters(o).get(name)
        kind = given.annotation if given else p.anno
        kind = (
            ''
            if kind is inspect._empty
            else f'`{inspect.formatannotation(kind) if not isinstance(kind, str) else kind}`'
        )
        default = '' if p.default is inspect._empty else f'`{short(p.default)}`'
        doc = p.docment if isinstance(p.docment, str) else ''
        if (
            name == 'return'
            and not (kind or doc)
            or name in ('self', 'cls')
            or name in ('args', 'kw', 'kwargs')
            and not doc
        ):
            continue
        rows.append(
            (
                '**returns**' if name == 'return' else f'`{name}`',
                cell(kind),
                cell(default),
                cell(doc),
            )
        )
    used = [i for i in range(4) if any(r[i] for r in rows)]
    head = ('', 'type', 'default', 'meaning, shape, unit')
    return (
        ''.join('| ' + ' | '.join(r[i] for i in used) + ' |\n' for r in [head, ('---',) * 4] + rows)
        if rows
        else ''
    )


def entry(module, name, o, cell, assigned):
    "The entry of one symbol"
    f, prop = bare(o), isinstance(o, (property, cached_property))
    call = (inspect.isroutine(f) or inspect.isclass(f)) and not prop
    kind = (
        'attribute'
        if prop
        else 'data'
        if not call
        else 'class'
        if inspect.isclass(f)
        else 'method'
        if '.' in name
        else 'function'
    )
    args = [p.replace(annotation=inspect._empty) for p in parameters(f).values()] if call else []
    args = [
        str(p.replace(default=inspect._empty))
        + (f'={short(p.default, 30)}' if p.default is not inspect._empty else '')
        for p in args
    ]
    options = ':classmethod:\n' if inspect.ismethod(o) else ''
    doc = (
        (inspect.getdoc(f) or '')
        if call or prop
        else fence(
            '{code-block} python',
            assigned
            if len(assigned) < 800
            else f'{name.split()[0]} = ...  # a {type(o).__name__} of {len(o)}',
        )
    )
    if not doc:
        raise SystemExit(f'presto_nb.{module}.{name} has no docstring')
    sig, names = f'{name}({", ".join(args)})' if call else name.split()[-1], name.split()[:-1]
    before = ''.join(f'```{{py:{kind}}} {n}\n```\n' for n in names)
    return (
        before
        + f'````````{{py:{kind}}} {sig}\n{options}\n{doc}\n\n{table(f) if call else ""}\n[source](#cell-{cell})\n````````\n'
    )


def write(site):
    "One page a module, and their index"
    for module, book in modules().items():
        where = {n: (c, code) for n, c, code in exported(book)}
        mod, page = importlib.import_module(f'presto_nb.{module}'), f'api/{module}'
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
