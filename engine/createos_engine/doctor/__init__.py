"""createosd doctor: what this machine has, what it lacks, and the command that mends each finding.

finding.py    what a check says, and how a list of them is shown
examine.py    runs all checks at once, each with a deadline
machine.py    root, programs, devices, space, memory, users, PATH
network.py    nftables, forwarding, other firewalls
engine.py     libvirt, accelerator, images, the daemon itself
"""
