"""Every check of the project: python tests/run_all.py [--setup]

The notebooks' own tests with nbdev-test, two at a time; then `pytest tests`, whose closing line comes last. `--setup` first installs what pip
cannot resolve (`presto-nb setup`), once. Exit status 0 only if everything passed.
"""

import os, subprocess, sys, time
from pathlib import Path

ROOT, BIN = Path(__file__).resolve().parent.parent, Path(sys.executable).parent
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
    print(f'== {name}: {" ".join(map(str, cmd))}', flush=True)
    rc = subprocess.run(
        list(map(str, cmd)), cwd=ROOT, env=ENV | env, stdin=subprocess.DEVNULL
    ).returncode
    print(
        f'== {name}: {"passed" if rc == 0 else f"FAILED with exit status {rc}"} in {time.time() - start:.0f} s',
        flush=True,
    )
    return rc == 0


def main():
    ok = True
    if '--setup' in sys.argv[1:]:
        ok = step('setup', BIN / 'presto-nb', 'setup', 'audiocraft') and step(
            'setup', BIN / 'presto-nb', 'setup', 'eval'
        )
    ok &= step('notebooks', BIN / 'nbdev-test', '--n-workers', '2', '--timing', OMP_NUM_THREADS='1')
    ok &= step('tests', sys.executable, '-m', 'pytest', 'tests')
    return 0 if ok else 1


if __name__ == '__main__':
    sys.exit(main())
