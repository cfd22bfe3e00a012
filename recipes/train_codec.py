"""Train the shipped codec: 45 minutes on two CPU cores.

    presto-nb data build --tier small --out DATA
    python recipes/train_codec.py --data DATA --run runs/codec

The same call goes on after an interruption. When the time is spent, the codec is written to presto_nb/assets/codec
and its log to data_samples/logs/codec.csv.
"""
import os
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import argparse, shutil
from pathlib import Path
import torch
from presto_nb.scores import load_folder
from presto_nb.codec_training import CODEC_RUN, train_codec
ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="folder made by `presto-nb data build`, or of own audio")
    p.add_argument("--run", default="runs/codec", help="folder of log and checkpoints")
    p.add_argument("--out", default=str(ROOT/"presto_nb/assets/codec"), help="folder of the finished codec")
    p.add_argument("--log", default=str(ROOT/"data_samples/logs/codec.csv"), help="where the log is copied")
    p.add_argument("--minutes", type=float, default=45)
    p.add_argument("--batch-size", type=int, default=CODEC_RUN.batch_size)
    p.add_argument("--filters", type=int, default=8, help="width of the adversary; 0: none")
    p.add_argument("--after", type=float, default=.75, help="part of the budget after which the adversary joins")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args(); torch.set_num_threads(a.threads)
    clips = [c for c in load_folder(a.data) if c.split == "train"]
    config = CODEC_RUN.replace(minutes=a.minutes, batch_size=a.batch_size)
    codec = train_codec(clips, a.run, a.out, config, filters=a.filters, after=a.after)
    if codec is not None and a.log:
        Path(a.log).parent.mkdir(parents=True, exist_ok=True); shutil.copy(Path(a.run)/"log.csv", a.log)
