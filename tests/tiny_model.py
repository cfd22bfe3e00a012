"A tiny pipeline that has learned nothing, for tests: every part is real, every weight is random"

import torch

WORDS = (
    "? a the on in with reel waltz march jig piano fiddle violin organ flute brisk slow lively "
    "fast minor major drums and bpm at 60 70 100 120"
).split()


def random_codec():
    "16 latent channels, every layer small"
    from presto_nb.material.codec import SpectralVAE, SpectralVAEConfig

    parts = [k for k in SpectralVAEConfig().to_dict() if k[:3] in ('enc', 'mid', 'dec', 'out')]
    small = {k: 1 if k.endswith('blocks') else 32 for k in parts}
    return SpectralVAE(SpectralVAEConfig(channels=16, **small))


def random_encoder():
    "A text encoder that knows thirty words"
    from presto_nb.material.text import SmallTextEncoder, TextConfig

    config = TextConfig(pieces=len(WORDS), table_dim=16, width=32, layers=1)
    encoder = SmallTextEncoder(config, WORDS)
    encoder.table.copy_(torch.randint(-127, 128, encoder.table.shape))
    encoder.scale.fill_(0.01)
    return encoder


def random_network(text_dim):
    "3 small blocks"
    from presto_nb.dit import DiT, DiTConfig

    size = dict(channels=16, width=32, depth=3, heads=2, max_frames=64, frequencies=16)
    net = DiT(DiTConfig(text_dim=text_dim, **size))
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net


def random_pipeline(
    seed=0,  # the same pipeline for the same seed
    encoder=None,  # of text; one that knows thirty words if None
    **config,  # fields that differ
):
    "A pipeline of 16 latent channels and 3 small blocks"
    from presto_nb.edm import Denoiser
    from presto_nb.pipeline import MusicPipeline, PipelineConfig

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codec = random_codec()
        encoder = random_encoder() if encoder is None else encoder
        net = random_network(encoder.dim)
    own = dict(name='tiny', dit=net.config.to_dict(), steps=4, max_seconds=2.0)
    return MusicPipeline(Denoiser(net), codec, encoder, PipelineConfig(**own | config))
