"""ResNet-18 (He et al. 2016) of torchvision, random or pretrained. 11,181,642 parameters with 10 classes."""

from functools import partial

from trainables.libraries import torchvision

build = partial(torchvision.build, "resnet18")
