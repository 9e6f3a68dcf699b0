FROM busybox:1 AS one
RUN mkdir -p /tree/sub && echo a > /tree/a && echo b > /tree/sub/b && ln -s a /tree/link && chmod 600 /tree/a
FROM busybox:1 AS two
COPY --from=one /tree /copied/
COPY --from=0 /tree/a /tree/sub/b /flat/
FROM scratch
COPY --from=two --chown=12:34 /copied /copied
COPY --from=two /flat/ /flat/
COPY --from=busybox:1 /bin/busybox /bin/sh
RUN echo scratch > /made
