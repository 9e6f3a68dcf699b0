FROM busybox:1
RUN echo x > /tool && chown 33:44 /tool && chmod 4755 /tool && ln /tool /hard && ln -s tool /soft && ln -s /gone /dangling
RUN mkfifo /pipe && dd if=/dev/zero of=/sparse bs=1 count=0 seek=64M
RUN n=$(printf 'n%.0s' $(seq 200)) && mkdir -p "/deep/$n/$n/$n" && echo deep > "/deep/$n/$n/$n/file"
