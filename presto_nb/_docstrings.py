"""The comments beside arguments, written into docstrings: `help(f)` and an editor's hover show them

Written by hand, unlike the modules beside it. `nbdev-export` calls `comments_into_docstrings` for
each cell (`export_procs` in pyproject.toml); the notebooks stay as they are, and importing the
library costs nothing but the longer texts.
"""

import ast
import io
import textwrap
import tokenize

WIDTH = 100
FUNCTION = ast.FunctionDef, ast.AsyncFunctionDef


def _comments(source):
    "Line -> the comment that stands at its end"
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    ends = [t for t in tokens if t.type == tokenize.COMMENT and t.line[: t.start[1]].strip()]
    return {t.start[0]: t.string.lstrip('#').strip() for t in ends}


def _arguments(function):
    "Name -> line"
    a = function.args
    every = [*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg]
    return {x.arg: x.lineno for x in every if x and x.arg not in ('self', 'cls')}


def _of_one_line(function, comment):
    "What the comment after `def f(x):` says: of the argument, of the result, or 'x -> result'"
    names = ', '.join(_arguments(function))
    before, arrow, after = comment.rpartition('->')
    given = ast.unparse(function.returns) if function.returns else ''
    if arrow and names and given != 'dict':
        return {names: before.strip()}, after.strip()
    return ({}, comment) if given or not names else ({names: comment}, '')


def _of_function(function, lines, comments):
    "Name -> comment, and what is said of the result"
    if function.lineno in comments and function.body[0].lineno == function.lineno + 1:
        return _of_one_line(function, comments[function.lineno])
    told = {k: comments[n] for k, n in _arguments(function).items() if n in comments}
    header = range(function.lineno, function.body[0].lineno)
    ends = [n for n in header if n in comments and lines[n - 1].lstrip().startswith(')')]
    return told, comments[ends[-1]] if ends else ''


def _of_class(node, lines, comments):
    "The same of a class: its fields, or the arguments of `__init__`"
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
    told = {n.target.id: comments[n.lineno] for n in fields if n.lineno in comments}
    for n in node.body:
        if isinstance(n, FUNCTION) and n.name == '__init__':
            told |= _of_function(n, lines, comments)[0]
    return told, ''


def _section(title, entries, indent):
    "The lines of 'Args:' or 'Returns:'"
    how = dict(width=WIDTH, break_long_words=False, break_on_hyphens=False)
    inner = dict(initial_indent=indent + 4 * ' ', subsequent_indent=indent + 8 * ' ')
    return ['', indent + title, *(textwrap.fill(e, **how, **inner) for e in entries)]


def _docstring(node, told, result):
    "The docstring as code, with what the comments tell"
    doc = node.body[0]
    indent = ' ' * doc.col_offset
    out = [doc.value.value.rstrip()]
    if told:
        out += _section('Args:', [f'{k}: {v}' for k, v in told.items()], indent)
    if result:
        out += _section('Returns:', [result], indent)
    text = '\n'.join(out).replace('\\', '\\\\').replace('"""', r'\"\"\"')
    fits = len(f'{indent}"""{text}'.split('\n')[0]) <= WIDTH
    start = '' if fits else f'\n{indent}'
    return f'{indent}"""{start}{text}\n{indent}"""'


def _public(body):
    "Functions and classes that a reader may meet, and the methods of all classes"
    for node in body:
        if not isinstance(node, (*FUNCTION, ast.ClassDef)):
            continue
        if ast.get_docstring(node) is not None and not node.name.startswith('_'):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from _public(node.body)


def with_comments(source):
    "Code whose docstrings hold the comments beside arguments, fields and results"
    lines = source.splitlines()
    comments = _comments(source)
    for node in sorted(_public(ast.parse(source).body), key=lambda n: -n.lineno):
        of = _of_class if isinstance(node, ast.ClassDef) else _of_function
        told, result = of(node, lines, comments)
        if told or result:
            doc = node.body[0]
            lines[doc.lineno - 1 : doc.end_lineno] = _docstring(node, told, result).split('\n')
    return '\n'.join(lines)


def comments_into_docstrings(cell):
    "A processor of `nbdev-export`"
    if cell.cell_type == 'code' and {'export', 'exports', 'exporti'} & set(cell.directives_):
        cell.set_source(with_comments(cell.source))
