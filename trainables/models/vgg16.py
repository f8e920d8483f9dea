"""VGG-16 with batch normalisation. 15,253,578 parameters on CIFAR-10."""

from trainables.vgg import builder

build = builder(16)
