"""Sphinx's configuration of the site: python docs/build.py uses it"""
import re
from pathlib import Path
from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parent.parent
project, author, copyright = 'presto_nb', 'The presto_nb founders', 'The presto_nb founders'
release = re.search(r'__version__ = "([^"]+)"', (ROOT/'presto_nb/__init__.py').read_text())[1]
extensions, myst_enable_extensions, myst_heading_anchors = ['myst_parser'], ['dollarmath', 'amsmath'], 4
html_theme, html_title, html_static_path, html_css_files = 'furo', f'presto_nb {release}', [str(ROOT/'docs/static')], ['site.css']
html_math_renderer, html_copy_source, html_show_sphinx, add_module_names, nitpicky = 'mathml', False, False, False, True
pygments_style, pygments_dark_style, highlight_language, toc_object_entries_show_parents = 'friendly', 'monokai', 'python', 'hide'

def setup(app):
    "Formulas become MathML, which every browser of today draws without a script"
    def math(display):
        def visit(self, node):
            self.body.append(f'<span class="math-{display}">{convert(node.astext(), display=display)}</span>')
            from docutils.nodes import SkipNode
            raise SkipNode
        return visit, None
    app.add_html_math_renderer('mathml', math('inline'), math('block'))
    return dict(parallel_read_safe=True, parallel_write_safe=True)
