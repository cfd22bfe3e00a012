"""Every check of the project.

    python tests/run_all.py [--setup]

The notebooks with tests/run_notebooks.py, two at a time, which also compares the text that they
store; then `pytest tests`, whose closing line comes last. `--setup` first installs what pip cannot
resolve (`presto-nb setup`), once. Exit status 0 only if everything passed.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
ENV = dict(
    os.environ,
    OMP_WAIT_POLICY='PASSIVE',
    MPLBACKEND='agg',
    HF_HUB_OFFLINE='1',
    PATH=f'{BIN}{os.pathsep}{os.environ.get("PATH", "")}',
)


def step(name, *cmd, **env):
    "Run one command, print its time, return whether it passed"
    start = time.time()
    words = [str(c) for c in cmd]
    print(f'== {name}: {" ".join(words)}', flush=True)
    status = subprocess.run(words, cwd=ROOT, env=ENV | env, stdin=subprocess.DEVNULL).returncode
    how = 'passed' if status == 0 else f'FAILED with exit status {status}'
    print(f'== {name}: {how} in {time.time() - start:.0f} s', flush=True)
    return status == 0


def setup():
    "What pip cannot resolve"
    presto_nb = BIN / 'presto-nb'
    targets = 'audiocraft', 'eval'
    return all(step('setup', presto_nb, 'setup', target) for target in targets)


def main():
    ok = setup() if '--setup' in sys.argv[1:] else True
    ok &= step('notebooks', sys.executable, 'tests/run_notebooks.py', OMP_NUM_THREADS='1')
    ok &= step('tests', sys.executable, '-m', 'pytest', 'tests')
    return 0 if ok else 1


if __name__ == '__main__':
    sys.exit(main())
