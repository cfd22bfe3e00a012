"""Train the base model on encoded clips and write a model folder that `MusicPipeline.from_pretrained` loads.

    presto-nb data build --tier small --out data/small
    python recipes/train_base.py --encode data/small --latents data/small-latents --preset study --minutes 60 --out runs/base

The run can be stopped and started again at any time; the same command goes on. On several GPUs: accelerate launch recipes/train_base.py ...
With --sample it only writes the model folder from the run's last checkpoint, to hear it while it trains.
"""
import os; os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch: spinning threads slow a busy machine tenfold
import argparse, sys
from pathlib import Path
from presto_nb.core import PrestoError, load_json
from presto_nb.codec import SpectralVAE, codec_sha256, encode_folder
from presto_nb.text import SmallTextEncoder
from presto_nb.pipeline import MusicPipeline, PipelineConfig
from presto_nb.training import TrainConfig, base_stage, fit, warm_start

def arguments(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--latents', type=Path, required=True, help='folder of latents')
    p.add_argument('--encode', type=Path, help='data folder to encode into --latents first')
    p.add_argument('--out', type=Path, required=True, help='folder of the run; the model goes to OUT/model')
    p.add_argument('--preset', default='study'); p.add_argument('--frames', type=int, help='length of a window')
    p.add_argument('--minutes', type=float); p.add_argument('--steps', type=int); p.add_argument('--batch', type=int, default=32)
    p.add_argument('--lr', type=float, default=1e-3); p.add_argument('--seed', type=int, default=0)
    p.add_argument('--precision', default='bf16'); p.add_argument('--accumulate', type=int, default=1); p.add_argument('--ema', type=float, default=.999)
    p.add_argument('--init-from', type=Path, help='run or model to begin with'); p.add_argument('--name', default='base')
    p.add_argument('--codec', type=Path, help='folder; the shipped one if not given'); p.add_argument('--text', type=Path, help='folder; the shipped one if not given')
    p.add_argument('--sample', action='store_true', help='train nothing, write the model folder from the last checkpoint')
    return p.parse_args(argv)

def export(stage, a, codec, encoder):
    "The run's averaged weights as a model folder"
    warm_start(stage, a.out)
    config = PipelineConfig(name=a.name, dit=stage.models['network'].config.to_dict(), sigma_data=stage.denoiser.sigma_data,
                            max_seconds=round(stage.data.frames/codec.frame_rate, 1))
    MusicPipeline(stage.denoiser.cpu(), codec, encoder, config).save_pretrained(a.out/'model', parts=bool(a.codec or a.text))

def main(argv=None):
    a = arguments(argv)
    codec, encoder = SpectralVAE.from_pretrained(a.codec), SmallTextEncoder.from_pretrained(a.text)
    if a.encode: encode_folder(codec, a.encode, a.latents)
    if (made := load_json(a.latents/'record.json').get('codec')) != codec_sha256(codec):
        raise PrestoError(f'{a.latents} was encoded by a codec of sha256 {str(made)[:12]}..., not by this one ({codec_sha256(codec)[:12]}...); encode it again')
    stage = base_stage(a.latents, encoder, a.preset, a.frames, a.seed, lr=a.lr); print(stage.data)
    if not a.sample:
        config = TrainConfig(steps=a.steps, minutes=a.minutes, batch_size=a.batch, precision=a.precision, accumulate=a.accumulate,
                             ema_decay=a.ema, seed=a.seed, schedule='cooldown', cooldown=.3)
        trainer = fit(stage, config, a.out, init_from=a.init_from)
        if trainer.stopped or not trainer.main: return
    export(stage, a, codec, encoder)
    print(f'wrote {a.out/"model"}')

if __name__ == '__main__':
    try: main()
    except PrestoError as e: print(e, file=sys.stderr); sys.exit(2)
