"""VGG-13 with batch normalisation. 9,941,322 parameters on CIFAR-10."""

from trainables.vgg import builder

build = builder(13)
