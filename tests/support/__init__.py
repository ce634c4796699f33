"""What the tests share: images, an installation, the check for what is left behind."""
