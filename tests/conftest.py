import os

os.environ.setdefault(
    'OMP_WAIT_POLICY', 'PASSIVE'
)  # before torch is imported: spinning threads slow busy machines tenfold
os.environ.setdefault('MPLBACKEND', 'agg')
os.environ.setdefault('HF_HUB_OFFLINE', '1')
