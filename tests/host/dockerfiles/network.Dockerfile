FROM busybox:1
RUN --network=host wget http://127.0.0.1/
