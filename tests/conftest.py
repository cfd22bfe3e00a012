import os
import sys
from pathlib import Path

# before torch is imported: threads that spin slow busy machines tenfold
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
os.environ.setdefault('MPLBACKEND', 'agg')
os.environ.setdefault('HF_HUB_OFFLINE', '1')
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'recipes'))
