"""Sphinx's configuration of the site: python docs/build.py uses it"""

import re
from pathlib import Path
from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parent.parent
project = 'presto_nb'
author = 'The presto_nb founders'
copyright = 'The presto_nb founders'
release = re.search(r'__version__ = "([^"]+)"', (ROOT / 'presto_nb/__init__.py').read_text())[1]
extensions = ['myst_parser']
myst_enable_extensions = ['dollarmath', 'amsmath']
myst_heading_anchors = 4
html_theme = 'furo'
html_title = f'presto_nb {release}'
html_static_path = ['static']
html_css_files = ['site.css']
html_math_renderer = 'mathml'
html_copy_source = False
html_show_sphinx = False
add_module_names = False
nitpicky = True
pygments_style = 'friendly'
pygments_dark_style = 'github-dark'
highlight_language = 'python'
toc_object_entries_show_parents = 'hide'

THIN = '<mspace width="0.167em"/>'
LETTERS = {'script': 0x1D49C, 'double-struck': 0x1D538}  # where Unicode's alphabets begin
EARLIER = dict(zip('𝒝𝒠𝒡𝒣𝒤𝒧𝒨𝒭𝔺𝔿𝕅𝕇𝕈𝕉𝕑', 'ℬℰℱℋℐℒℳℛℂℍℕℙℚℝℤ'))  # letters that Unicode had before
NAME = r'(?<!<msub>)(?<!<msup>)(?<!<msubsup>)<mi>(ln|log|exp|sin|cos|tanh|det)</mi>'


def letter(m):
    "A letter of another alphabet as a character of its own"
    c = chr(LETTERS[m[1]] + ord(m[2]) - 65)
    return f'<mi>{EARLIER.get(c, c)}</mi>'


def mathml(tex, display):
    "A formula as MathML, in the part of it that browsers share"
    tex = re.sub(r'\\mathrm\{(\w+)\}', r'\\text{\1}', tex)
    ml = convert(tex.replace(r'\arg', r'\operatorname{arg}'), display=display)
    ml = re.sub(r'<mi mathvariant="(script|double-struck)">([A-Z])</mi>', letter, ml)
    ml = ml.replace('<mi>&#x0007E;</mi>', '<mo>∼</mo>')
    ml = ml.replace('<mo>&#x02016;', '<mo stretchy="false">&#x02016;')
    # a thin space between a name and a neighbour that is no sign
    ml = re.sub(r'(?<=</mi>|</mn>)' + NAME, rf'{THIN}<mi>\1</mi>', ml)
    return re.sub(NAME + '(?!<mo)', rf'<mi>\1</mi>{THIN}', ml)


def setup(app):
    "Formulas become MathML, which every browser of today draws without a script"

    def math(display):
        def visit(self, node):
            self.body.append(
                f'<span class="math-{display}">{mathml(node.astext(), display)}</span>'
            )
            from docutils.nodes import SkipNode

            raise SkipNode

        return visit, None

    app.add_html_math_renderer('mathml', math('inline'), math('block'))
    return dict(parallel_read_safe=True, parallel_write_safe=True)
