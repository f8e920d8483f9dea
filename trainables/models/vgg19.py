"""VGG-19 with batch normalisation. 20,565,834 parameters on CIFAR-10."""

from trainables.vgg import builder

build = builder(19)
