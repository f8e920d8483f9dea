"""VGG-11 with batch normalisation. 9,756,426 parameters on CIFAR-10."""

from trainables.vgg import builder

build = builder(11)
