"""Kernel, initramfs, guest agent and root file systems: how they are built and where they are kept."""

from createos_images.errors import ImageError as ImageError
