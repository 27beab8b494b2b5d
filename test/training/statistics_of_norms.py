"""Statistics of a trained network, for one that has learned nothing."""

from torch import nn


def with_statistics(network):
    """The network, whose normalisations do something."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network
