import numpy as np
from scipy import stats

from untrain.generators.base import Noise
from untrain.generators.noise import gumbel, noise_batch


def test_noise_is_standard_gumbel():
    noise = gumbel(0, "p01", 0, 64, 256)
    assert noise.shape == (64, 256) and noise.dtype == np.float32
    assert np.isfinite(noise).all()
    assert stats.kstest(noise.ravel(), "gumbel_r").pvalue > 0.01


def test_argmax_with_noise_samples_from_the_softmax():
    p = np.array([0.5, 0.3, 0.15, 0.05])
    drawn = np.argmax(np.log(p) + gumbel(3, "p", 0, 20_000, 4), axis=1)
    observed = np.bincount(drawn, minlength=4)
    assert stats.chisquare(observed, p * len(drawn)).pvalue > 0.01


def test_noise_does_not_depend_on_order_or_batch():
    keys = [("p02", 1), ("p01", 0), ("p01", 1)]
    batch = noise_batch(Noise("gumbel", (5, 9)), 7, keys)
    alone = noise_batch(Noise("gumbel", (5, 9)), 7, keys[1:2])
    np.testing.assert_array_equal(batch[1], alone[0])
    np.testing.assert_array_equal(batch[2], gumbel(7, "p01", 1, 5, 9))


def test_noise_differs_between_seeds_prompts_and_generations():
    keys = [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    noises = [gumbel(*key, 3, 4) for key in keys]
    assert len({n.tobytes() for n in noises}) == 4
