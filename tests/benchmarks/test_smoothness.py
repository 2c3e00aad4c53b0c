import numpy as np
import pytest

from smoothness import Variant, signal_to_noise


def planted(noise: float, models: int = 40, seed: int = 0):
    """Four prompts with twelve images each that are worth 0.3, and noise of a known size."""
    random = np.random.default_rng(seed)
    kept = random.random((models, 200)) < 0.5
    members = np.zeros((4, 200), bool)
    for prompt in range(4):
        members[prompt, 12 * prompt : 12 * prompt + 12] = True
    out = (~kept).astype(float) @ members.T
    return members, kept, 5 + 0.3 * out + random.normal(0, noise, (models, 4))


def test_signal_and_noise_are_found():
    found = [signal_to_noise(*planted(0.5, seed=seed)) for seed in range(20)]
    assert np.mean([effect for effect, _, _ in found]) == pytest.approx(3, abs=0.1)
    assert np.mean([noise for _, noise, _ in found]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([ratio.mean for *_, ratio in found]) == pytest.approx(6, abs=0.3)


def test_a_prompt_may_have_any_level():
    """What a model is worse at for all prompts is noise; how likely a prompt is at all is not."""
    members, kept, nll = planted(0.5)
    ratio = signal_to_noise(members, kept, nll)[2]
    other = signal_to_noise(members, kept, nll + np.arange(4.0))[2]
    np.testing.assert_allclose(ratio.by_query, other.by_query)


def test_settings_are_read_as_they_are_written():
    assert Variant("base").settings == {}
    assert Variant("lr=1.5e-3 epochs=12").settings == {"lr": 0.0015, "epochs": 12}
