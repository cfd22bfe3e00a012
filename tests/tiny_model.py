"A tiny pipeline that has learned nothing, for tests: every part is real, every weight is random"

import torch

WORDS = "? a the on in with reel waltz march jig piano fiddle violin organ flute brisk slow lively fast minor major drums and bpm at 60 70 100 120".split()


def random_pipeline(seed=0, encoder=None, **config):
    "A pipeline of 16 latent channels and 3 small blocks; the same for the same seed; with a given text encoder, or one that knows thirty words"
    from presto_nb.material.codec import SpectralVAE, SpectralVAEConfig
    from presto_nb.dit import DiT, DiTConfig
    from presto_nb.edm import Denoiser
    from presto_nb.pipeline import MusicPipeline, PipelineConfig
    from presto_nb.material.text import SmallTextEncoder, TextConfig

    small = {
        k: 1 if k.endswith('blocks') else 32
        for k in SpectralVAEConfig().to_dict()
        if k[:3] in ('enc', 'mid', 'dec', 'out')
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codec = SpectralVAE(SpectralVAEConfig(channels=16, **small))
        if encoder is None:
            encoder = SmallTextEncoder(
                TextConfig(pieces=len(WORDS), table_dim=16, width=32, layers=1), WORDS
            )
            encoder.table.copy_(torch.randint(-127, 128, encoder.table.shape))
            encoder.scale.fill_(0.01)
        dit = DiTConfig(
            channels=16,
            width=32,
            depth=3,
            heads=2,
            text_dim=encoder.dim,
            max_frames=64,
            frequencies=16,
        )
        net = DiT(dit)
        for p in net.parameters():
            p.data += 0.05 * torch.randn_like(p)
    return MusicPipeline(
        Denoiser(net),
        codec,
        encoder,
        PipelineConfig(**(dict(name='tiny', dit=dit.to_dict(), steps=4, max_seconds=2.0) | config)),
    )
