FROM busybox:1
RUN no-such-program --help
