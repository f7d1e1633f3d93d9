"""The residual network with 20 layers that He et al. trained on CIFAR-10.

6n + 2 layers, n = 3: a 3×3 convolution, three stages of n blocks with 16, 32 and 64 channels, global average, linear.
A block is relu(x' + bn(conv(relu(bn(conv(x)))))); where a stage halves the image, x' is every second pixel of x with
zeros as the new channels ("option A"), which costs no parameters: 269 722 in all for 3 channels and 10 classes.
Source: He et al. 2016, "Deep Residual Learning for Image Recognition", §4.2, arXiv:1512.03385; convolutions start
from Kaiming's normal distribution (He et al. 2015) as there. We add zero-initialized scales in each block's last
normalization, so that every block starts as its shortcut (Goyal et al. 2017, §5.1, arXiv:1706.02677).
"""

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a parameter-free shortcut ("option A")."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.relu2 = nn.ReLU()
        self.stride = stride
        self.new_channels = channels_out - channels_in
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            before = self.new_channels // 2
            x = F.pad(x, (0, 0, 0, 0, before, self.new_channels - before))
        return self.relu2(x + branch)


def resnet20(inputs: tuple[int, ...], outputs: int, *, width: int = 16, blocks: int = 3) -> nn.Module:
    """Build the 20-layer residual network of He et al. for images of any size.

    Args:
        inputs: (C, H, W) of one image.
        outputs: number of logits or values.
        width: channels of the first stage; the next two have twice and four times as many.
        blocks: residual blocks a stage; 6 · blocks + 2 layers.

    Raises:
        ValueError: if the samples are no images.
    """
    if len(inputs) != 3:
        raise ValueError(f"resnet20 takes images (C, H, W), these samples have shape {inputs}. Use mlp.")
    stages: list[nn.Module] = []
    channels = width
    for stage in range(3):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            stages.append(BasicBlock(channels, width * 2**stage, stride))
            channels = width * 2**stage
    net = nn.Sequential(
        nn.Conv2d(inputs[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        *stages,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, outputs),
    )
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    nn.init.zeros_(net[-1].bias)  # type: ignore[arg-type]
    return net
