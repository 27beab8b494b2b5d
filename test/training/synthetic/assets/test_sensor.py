"""The sensor adds what its name says, where it says."""

import numpy as np
import pytest

from dtp_stereo_ros.training.synthetic.sensor import mosaicked, sensed, sharpened, shot_noise


def test_shot_noise_grows_with_the_root_of_the_light():
    rng = np.random.default_rng(0)
    dark, bright = (np.full((200, 200, 3), v, np.uint8) for v in (40, 160))

    spread = [shot_noise(rng, image, 8.0).astype(float).std() for image in (dark, bright)]

    assert spread[1] / spread[0] == pytest.approx(2, rel=0.05)
    assert spread[1] == pytest.approx(8 * np.sqrt(160 / 255), rel=0.05)


@pytest.mark.parametrize('edge_aware', [False, True])
def test_mosaic_keeps_smooth_colours_in_their_channels(edge_aware):
    ramp = np.linspace(20, 200, 64)[None, :, None]
    image = np.clip(ramp + np.array([40, 0, -15]), 0, 255).repeat(32, 0).astype(np.uint8)

    seen = mosaicked(image, edge_aware)

    inner = np.s_[4:-4, 4:-4]
    assert np.abs(seen[inner].astype(int) - image[inner]).max() <= 4


def test_mosaic_colours_a_fine_edge():
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, 15:16] = 255

    seen = mosaicked(image, False).astype(int)

    assert np.ptp(seen[8:24, 14:17], axis=2).max() > 60


def test_sharpening_leaves_flats_and_makes_halos():
    image = np.full((32, 32, 3), 100, np.uint8)
    image[:, 16:] = 160

    seen = sharpened(image, 1.0, 1.0)

    assert (seen[:, :8] == 100).all()
    assert seen[16, 15, 0] < 90
    assert seen[16, 16, 0] > 170


def test_views_get_noise_of_their_own():
    image = np.full((64, 64, 3), 128, np.uint8)

    for seed in range(20):
        left, right = sensed(np.random.default_rng(seed), image, image)
        assert left.shape == image.shape
        if (left != image).mean() > 0.5:
            assert (left != right).mean() > 0.3
            return
    pytest.fail('no seed drew noise')
