from busybox as base
run echo base > /from
from base
run echo more >> /from
workdir relative
workdir nested
run pwd > /where
