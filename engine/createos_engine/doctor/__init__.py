"""createosd doctor: what this machine has, what it lacks, and the command that mends each finding.

finding.py      what a check says, and how a list of them is shown
check.py        runs checks at once, each with a deadline
machine.py      root, QEMU, devices, space, memory, users, PATH
network.py      nftables, forwarding, other firewalls
accelerator.py  KVM or emulation, by booting the probe guest
engine.py       libvirt, kernel, images, the daemon itself
examine.py      the list of all checks
"""
