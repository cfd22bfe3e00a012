"""Sphinx's configuration of the site: python docs/build.py uses it"""

import re
from pathlib import Path
from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parent.parent
project, author, copyright = 'presto_nb', 'The presto_nb founders', 'The presto_nb founders'
release = re.search(r'__version__ = "([^"]+)"', (ROOT / 'presto_nb/__init__.py').read_text())[1]
extensions, myst_enable_extensions, myst_heading_anchors = (
    ['myst_parser'],
    ['dollarmath', 'amsmath'],
    4,
)
html_theme, html_title, html_static_path, html_css_files = (
    'furo',
    f'presto_nb {release}',
    ['static'],
    ['site.css'],
)
html_math_renderer, html_copy_source, html_show_sphinx, add_module_names, nitpicky = (
    'mathml',
    False,
    False,
    False,
    True,
)
pygments_style, pygments_dark_style, highlight_language, toc_object_entries_show_parents = (
    'friendly',
    'github-dark',
    'python',
    'hide',
)

THIN = '<mspace width="0.167em"/>'
LETTERS = dict(
    script=0x1D49C, **{'double-struck': 0x1D538}
)  # where Unicode's alphabets of these kinds begin
EARLIER = dict(zip('𝒝𝒠𝒡𝒣𝒤𝒧𝒨𝒭𝔺𝔿𝕅𝕇𝕈𝕉𝕑', 'ℬℰℱℋℐℒℳℛℂℍℕℙℚℝℤ'))  # letters that Unicode had before


def mathml(tex, display):
    "A formula as MathML, in the part of it that browsers share: letters of other alphabets as characters of their own, words as words"
    tex = re.sub(r'\\mathrm\{(\w+)\}', r'\\text{\1}', tex).replace(r'\arg', r'\operatorname{arg}')
    letter = lambda m: (
        (c := chr(LETTERS[m[1]] + ord(m[2]) - 65)) and f'<mi>{EARLIER.get(c, c)}</mi>'
    )
    ml = (
        re.sub(
            r'<mi mathvariant="(script|double-struck)">([A-Z])</mi>',
            letter,
            convert(tex, display=display),
        )
        .replace('<mi>&#x0007E;</mi>', '<mo>∼</mo>')
        .replace('<mo>&#x02016;', '<mo stretchy="false">&#x02016;')
    )
    name = r'(?<!<msub>)(?<!<msup>)(?<!<msubsup>)<mi>(ln|log|exp|sin|cos|tanh|det)</mi>'  # with a thin space to a neighbour that is no sign
    return re.sub(
        name + '(?!<mo)',
        rf'<mi>\1</mi>{THIN}',
        re.sub(r'(?<=</mi>|</mn>)' + name, rf'{THIN}<mi>\1</mi>', ml),
    )


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
