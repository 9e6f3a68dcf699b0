FROM busybox:1 AS made
RUN cp /bin/busybox /ping && chown 5:6 /ping && chmod 2755 /ping && mkdir -m 1777 /shared
FROM busybox:1
COPY --from=made /ping /bin/ping
COPY --from=made --chown=7:8 --chmod=0640 /ping /kept
RUN mkdir -m 1777 /shared && chmod 4711 /bin/ping
