"""recipes/train_base.py from sound files to a model that loads, with tiny parts that know nothing"""
import csv, os, subprocess, sys
from pathlib import Path
import pytest, torch
from presto_nb.audio import Audio
from presto_nb.codec import SpectralVAE, SpectralVAEConfig
from presto_nb.pipeline import MusicPipeline

RECIPE = Path(__file__).parent.parent/'recipes'/'train_base.py'

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "Six captioned tones and a codec with random weights"
    d = tmp_path_factory.mktemp('base'); (d/'own').mkdir()
    small = {k: 1 if k.endswith('blocks') else 32 for k in SpectralVAEConfig().to_dict() if k[:3] in ('enc', 'mid', 'dec', 'out')}
    for name in ('codec', 'other'): SpectralVAE(SpectralVAEConfig(channels=16, **small)).save(d/name)
    with open(d/'own'/'captions.csv', 'w', newline='') as f:
        w = csv.writer(f); w.writerow(['file', 'caption', 'bpm'])
        for i in range(6):
            Audio(.2*torch.sin(torch.arange(3*44100)*(220 + 50*i)*6.2832/44100)[None], 44100).save(d/'own'/f't{i}.wav')
            w.writerow([f't{i}.wav', 'a slow jig on the violin' if i % 2 else 'a fast reel on the piano', 120 if i % 2 else ''])
    return d

def recipe(folder, *more):
    args = ['--latents', folder/'latents', '--out', folder/'run', '--codec', folder/'codec', '--preset', 'tiny', '--frames', 24, '--batch', 4, *more]
    env = os.environ | dict(IN_TEST='1', OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE')
    return subprocess.run([sys.executable, str(RECIPE), *map(str, args)], env=env, capture_output=True, text=True, timeout=200)

def test_from_sound_files_to_a_model(folder):
    r = recipe(folder, '--encode', folder/'own', '--steps', 6)
    assert r.returncode == 0 and 'wrote' in r.stdout, r.stderr
    pipe = MusicPipeline.from_pretrained(folder/'run'/'model', device='cpu')
    audio, = pipe.generate('a fast reel on the piano', seconds=1., steps=3, seed=0)
    assert audio.seconds == pytest.approx(1., abs=.01) and audio.samples.isfinite().all()
    r = recipe(folder, '--steps', 8, '--codec', folder/'other')
    assert r.returncode == 2 and len(r.stderr.splitlines()) == 1 and 'was encoded by a codec of sha256' in r.stderr, r.stderr
    r = recipe(folder, '--steps', 3, '--init-from', folder/'run'/'model', '--out', folder/'more')
    assert r.returncode == 0 and (folder/'more'/'model'/'config.json').is_file(), r.stderr
