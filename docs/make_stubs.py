"""Write the type stubs of modules whose methods come through fastcore's `patch`: python docs/make_stubs.py

A type checker does not see what is patched into a class. In presto_nb/NAME.pyi every method stands in its class, without its body.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / 'presto_nb'
KEPT = {
    'property',
    'cached_property',
    'staticmethod',
    'classmethod',
    'dataclass',
    'contextmanager',
    'runtime_checkable',
}


def named(decorator):
    "The last part of a decorator's name"
    f = decorator.func if isinstance(decorator, ast.Call) else decorator
    return f.attr if isinstance(f, ast.Attribute) else f.id


def signature(f):
    "A function with its docstring in place of its body"
    doc = ast.get_docstring(f)
    f.decorator_list = [d for d in f.decorator_list if named(d) in KEPT]
    f.body = [*([ast.Expr(ast.Constant(doc))] if doc else []), ast.Expr(ast.Constant(...))]
    return f


def text(path):
    "The stub of a module, or None where nothing is patched"
    tree, classes, patched = ast.parse(path.read_text()), {}, False
    for node in list(tree.body):
        if isinstance(node, ast.ClassDef):
            classes[node.name] = node
            node.body = [signature(m) if isinstance(m, ast.FunctionDef) else m for m in node.body]
        elif isinstance(node, ast.FunctionDef):
            how = next((d for d in node.decorator_list if named(d) == 'patch'), None)
            signature(node)
            if how is None:
                continue
            owner, first, patched = node.args.args[0].annotation.id, node.args.args[0], True
            first.annotation = None
            tree.body.remove(node)
            if isinstance(how, ast.Call):
                node.decorator_list.append(ast.Name('classmethod'))
                node.returns = node.returns or ast.Name(owner)
            classes[owner].body.append(node)
    return (
        f'# Made from {path.name} by docs/make_stubs.py; change the notebook, export, then run that command again.\n'
        + ast.unparse(ast.fix_missing_locations(tree))
        + '\n'
        if patched
        else None
    )


def stubs():
    return {
        p.with_suffix('.pyi'): s
        for p in sorted(PACKAGE.glob('*.py'))
        if p.name != '_modidx.py' and (s := text(p))
    }


if __name__ == '__main__':
    for path, stub in stubs().items():
        path.write_text(stub)
