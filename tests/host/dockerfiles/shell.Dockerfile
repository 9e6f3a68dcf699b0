FROM busybox:1
SHELL ["/bin/sh", "-euc"]
RUN echo "flags $-" > /flags
SHELL ["/bin/ash", "-c"]
RUN false; echo went on > /on
