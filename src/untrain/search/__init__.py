"""From a prompt to the training images that its pictures resemble: retrieve, compare, rank."""
