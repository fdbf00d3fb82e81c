"""The recogniser on video: a linear classifier on the features of a whole clip."""

import torch

from signrep_core.model.encoder import EncoderConfig
from signrep_core.model.recogniser import Recogniser
from signrep_core.model.signrep import SignRep, SignRepConfig

MICRO = SignRepConfig(EncoderConfig(image_size=32, embed_dim=8, stages=(1, 1, 1, 1), drop_path=0.0), (16, 16))


def test_a_linear_layer_classifies_the_features_of_all_mask_units() -> None:
    """Also in training: fine-tuning hides nothing (A3)."""
    signrep = SignRep(MICRO)
    recogniser = Recogniser.from_signrep(signrep, ["A", "B", "C"]).train()
    clip = torch.randn(2, 3, 64, 32, 32)
    tokens = recogniser.encoder(clip, torch.arange(recogniser.encoder.n_units).expand(2, -1)).tokens
    assert tokens.shape == (2, 8 * 4, 64)  # 8 units, four tokens of each
    expected = recogniser.classifier(signrep.projection(tokens.mean(1)))
    torch.testing.assert_close(recogniser(clip), expected, rtol=1e-4, atol=1e-5)
