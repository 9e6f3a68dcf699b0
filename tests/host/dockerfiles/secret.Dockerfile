FROM busybox:1
RUN --mount=type=secret,id=token cat /run/secrets/token
