"""The whole chain within a time budget, on a GPU or on CPU cores: python recipes/train_all.py --work FOLDER --minutes 120 [--stage codec,base,l,s,ls] [--preset study] [--tier full] [--init-from FOLDER]

Renders and encodes what is not there, then trains stage by stage with `presto-nb train`, each for its share of the minutes (SHARES). A stage that is left out is taken from --init-from, the folder of an earlier call, or else from what is shipped;
a stage that is trained begins with the weights there, if there are any. Interrupted at any moment, the same command goes on.
"""
import argparse, os, sys
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')   # before torch is imported
from pathlib import Path
import torch
from presto_nb.cli import main as presto_nb

SHARES = dict(codec=.25, base=.45, l=.1, s=.1, ls=.1)   # of --minutes; those of the stages asked for are scaled to fill it

def of(folder, stage): # folder of a call of this recipe; stage
    "A stage's model there, if it was finished"
    return folder/stage/'model' if folder and (folder/stage/'model'/'config.json').is_file() else None

def commands(args, stages): # of the command line; stages in order
    "What is run, one command a line, each made when the one before has ended"
    w, minutes = args.work, {k: SHARES[k]*args.minutes/sum(SHARES[k] for k in stages) for k in stages}
    size = ['--precision', 'bf16' if torch.cuda.is_available() else 'no', '--seed', str(args.seed)] + (['--steps', str(args.steps)] if args.steps else [])
    budget = lambda k, share=1.: ([] if args.steps else ['--minutes', f'{share*minutes[k]:.4g}']) + size
    trained = lambda k: of(w, k) or of(args.init_from, k)
    begun = lambda k, file='': ['--init', str(m/file)] if (m := of(args.init_from, k)) else ['--preset', args.preset]
    if not (w/'data'/'metadata.jsonl').is_file(): yield ['data', 'build', '--tier', args.tier, '--out', str(w/'data')]
    if 'codec' in stages: yield ['train', 'codec', '--data', str(w/'data'), '--out', str(w/'codec'), *begun('codec', 'model.safetensors'), *budget('codec')]
    codec = ['--codec', str(c)] if (c := trained('codec')) else []
    if set(stages) - {'codec'} and not (w/'latents'/'latents.jsonl').is_file(): yield ['data', 'encode', '--data', str(w/'data'), '--out', str(w/'latents'), *codec]
    data = ['--data', str(w/'latents')]
    if 'base' in stages: yield ['train', 'base', *data, '--out', str(w/'base'), *(begin := begun('base')), *(codec if '--preset' in begin else ['--batch-size', '32']), *budget('base')] # going on: as many rows as from nothing
    base = ['--base', str(trained('base') or 'base')]
    if 'l' in stages: yield ['train', 'presto-l', *data, '--out', str(w/'l'), *base, *budget('l')]
    if 's' in stages: yield ['train', 'presto-s', *data, '--out', str(w/'s'), *base, '--variant', args.variant, *budget('s')]
    if 'ls' in stages:
        yield ['train', 'presto-l', *data, '--out', str(w/'ls-layers'), *base, '--variant', 'ls', *budget('ls', .3)]
        yield ['train', 'presto-ls', *data, '--out', str(w/'ls'), *base, '--start', str(w/'ls-layers'/'model'), '--variant', args.variant, *budget('ls', .7)]

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--work', type=Path, required=True); p.add_argument('--minutes', type=float, default=120.); p.add_argument('--stage', default=','.join(SHARES), help='some of ' + ', '.join(SHARES))
    p.add_argument('--preset', default='study'); p.add_argument('--tier', default='full'); p.add_argument('--init-from', type=Path); p.add_argument('--variant', default='presto-s', help='switches of the two step distillations')
    p.add_argument('--seed', type=int, default=0); p.add_argument('--steps', type=int, help='of every stage, instead of minutes (for trying the chain)')
    args = p.parse_args(argv); asked = args.stage.split(',')
    if unknown := [k for k in asked if k not in SHARES]: p.error(f"--stage has {unknown[0]!r}; allowed are {', '.join(SHARES)}")
    for command in commands(args, [k for k in SHARES if k in asked]):
        print('presto-nb', *command, flush=True)
        if code := presto_nb(command): return code

if __name__ == '__main__': sys.exit(main())
