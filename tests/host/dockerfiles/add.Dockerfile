FROM busybox:1
ADD https://example.org/archive.tar /srv/
